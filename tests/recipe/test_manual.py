"""The manual of the operators is what their docstrings say, and its examples work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkmine.recipe import manual, operator_from, operators

FILE = Path(__file__).parents[2] / "docs" / "operators.md"


def test_the_file_is_up_to_date() -> None:
    stale = "docs/operators.md is not what the operators' docstrings say: run `make docs`"
    assert FILE.read_text() == manual.render(), stale


def test_every_operator_has_an_entry() -> None:
    headings = [line for line in manual.render().splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(f"### {name}" for name in operators.__all__)


@pytest.mark.parametrize("name", operators.__all__)
def test_examples_parse(name: str) -> None:
    (entry,) = yaml.safe_load(manual.example(getattr(operators, name)))
    parameters: dict[str, Any] = dict(entry)
    made = operator_from(parameters.pop("operator"), parameters)
    assert type(made).__name__ == name
    assert operator_from(name, made.parameters()) == made
