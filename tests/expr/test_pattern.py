"""Patterns against Python's `re`, which reads these as Java and RE2 do."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from sparkmine.expr import col, evaluate

TEXTS = ["a1", " a1", "a 1", "a1\n", "1", "+a", "[a1", "s*[a1", " \t1 ", "a.b", "a-b]", "b"]


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\s*[a-c]+1$",
        r"^[^\s]\s[0-9]$",
        r"\S[^a]\s*$",
        r"^\s*[+-]?[a\d]{1,3}$",
        r"^(\s|[ab])+[\d.]",
        r"[\]\[]",
        r"^\[[a]",
    ],
)
def test_patterns_mean_what_they_mean_to_python(pattern: str) -> None:
    ours = pattern.replace("$", r"\Z") if pattern.endswith("$") else pattern
    wanted = [re.search(ours, text, re.ASCII) is not None for text in TEXTS]
    found = evaluate(col("t").matches(pattern), pa.table({"t": TEXTS})).to_pylist()
    assert found == wanted and any(wanted) and not all(wanted)
