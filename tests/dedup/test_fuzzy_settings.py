"""Settings of a linkage that cannot work are refused before Spark starts."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest

from sparkmine.dedup.fuzzy import KINDS, Comparison, Linkage, Merge, Training, check_installed
from sparkmine.dedup.fuzzy.comparisons import splink_comparison
from sparkmine.errors import ConfigError, ExtraMissingError

LINKAGE = Linkage(
    id="id",
    blocking=(("born", "left(surname, 3)"), ("email",)),
    comparisons=(
        Comparison(kind="name", columns=("surname",)),
        Comparison(kind="date", columns=("born",)),
        Comparison(kind="email", columns=("email",)),
    ),
    training=Training(rules=(("born",), ("email",)), prior=0.001),
)
TRAINING = {"rules": (("born",), ("email",)), "prior": 0.001}


def test_columns_that_are_read() -> None:
    assert LINKAGE.columns == ("surname", "born", "email")
    assert replace(LINKAGE, blocking=(("year(born)", "city"),)).columns[3:] == ("city",)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"blocking": ()}, "blocking needs at least one rule"),
        ({"blocking": ((),)}, "blocking needs at least one rule"),
        ({"blocking": (("soundex(surname)",),)}, "blocking: .*not in the expression language"),
        ({"comparisons": LINKAGE.comparisons[:1]}, "there are 1 comparisons"),
        ({"id": "born"}, "the id 'born' cannot be compared"),
        ({"threshold": 1.0}, "threshold is 1.0"),
        ({"max_pairs": 0}, "max_pairs is 0"),
        (
            {"comparisons": (*LINKAGE.comparisons, Comparison(kind="exact", columns=("born",)))},
            "'born' is compared twice, as date and as exact",
        ),
        (
            {"training": Training(rules=(("born",), ("born", "email")), prior=0.1)},
            "every training rule uses born",
        ),
    ],
)
def test_mistakes_of_a_linkage(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(LINKAGE, **changed)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"rules": ()}, "at least one rule"),
        ({"prior": None}, "either `certain` rules or the `prior`"),
        ({"certain": (("email",),)}, "either `certain` rules or the `prior`"),
        ({"prior": 0}, "prior is 0"),
        ({"recall": 1.5}, "recall is 1.5"),
        ({"sample_pairs": 10}, "sample_pairs is 10; it is 1,000 to"),
        ({"max_iterations": 0}, "max_iterations is at least 1"),
    ],
)
def test_mistakes_of_the_training(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Training(**{**TRAINING, **changed})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kind": "sounds"}, "there is no kind 'sounds'; the kinds are exact, levenshtein"),
        ({"kind": "full_name"}, "full_name takes 2 columns, not"),
        ({"kind": "name", "columns": ("a", "b")}, "name takes 1 column, not"),
        ({"kind": "exact", "thresholds": (1,)}, "exact takes no thresholds"),
        ({"kind": "name", "thresholds": (0.7, 0.9)}, "from the strictest to the loosest"),
        ({"kind": "name", "thresholds": (2,)}, "between 0 and 1, not"),
        ({"kind": "levenshtein", "thresholds": (2, 1)}, "from the strictest to the loosest"),
        ({"kind": "levenshtein", "thresholds": (0.5,)}, "whole numbers from 1, not"),
    ],
)
def test_mistakes_of_a_comparison(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Comparison(**{"columns": ("a",), **arguments})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"columns": ()}, "at least one column"),
        ({"take": "best"}, "take is one of survivor, first, newest"),
        ({"take": "newest"}, "newest needs `by`"),
        ({"take": "first", "by": "day"}, "first takes no `by`"),
        ({"take": "greatest", "columns": ("a", "b")}, "greatest takes one column"),
    ],
)
def test_mistakes_of_a_merge(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Merge(**{"columns": ("a",), "take": "first", **arguments})


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ExtraMissingError, match=r"need splink and duckdb.*sparkmine\[link\]"):
        check_installed()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_levels_for_both_engines(kind: str) -> None:
    columns = ("a", "b") if kind == "full_name" else ("a",)
    made = splink_comparison(Comparison(kind=kind, columns=columns), "c0")
    levels = {
        engine: made.get_comparison(engine).comparison_levels for engine in ("spark", "duckdb")
    }
    for found in levels.values():
        labels = [level.label_for_charts for level in found]
        assert len(set(labels)) == len(labels)
        assert [level.is_null_level for level in found] == [True] + [False] * (len(found) - 1)
        assert labels[-1] == "different"
