"""What a comparison says of two runs' settings and test rows, from plain components."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sparkmine.errors import ConfigError
from sparkmine.evaluate import Evaluation, evaluate_models
from sparkmine.evaluate.changes import EvaluationPair, StageChange
from sparkmine.lake.log import Commit
from sparkmine.pipeline.compare import compare, in_words, merged
from sparkmine.pipeline.fingerprint import changes
from sparkmine.pipeline.measured import rows_of_both

if TYPE_CHECKING:
    from sparkmine.lake import Lake


def test_stages_of_both_runs_keep_their_order() -> None:
    assert merged(["a", "x", "b"], ["a", "b", "c"]) == ["a", "x", "b", "c"]
    assert merged(["x", "y", "a"], ["a"]) == ["x", "y", "a"]
    assert merged(["a", "b"], []) == ["a", "b"]
    assert merged(["b", "x"], ["a", "b"]) == ["a", "b", "x"]


def test_all_that_differs_is_told_with_both_values() -> None:
    old: dict[str, Any] = {
        "config": {
            "model": {"depth": 3, "gone": True},
            "recipe": [{"operator": "Log"}, {"operator": "PCA"}],
            "where": "day > 20",
        },
        "inputs": {"mart/visits": 0, "old/table": 1},
        "files": {"/a/x.sql": [1, "aa"], "/a/old.sql": [1, "cc"]},
        "seed": 1,
        "code": "0.1+aa",
    }
    new: dict[str, Any] = {
        "config": {
            "model": {"depth": 2, "new": "x" * 400},
            "recipe": [{"operator": "Log"}, {"operator": "Scale"}, {"operator": "PCA"}],
            "where": "day > 20",
        },
        "inputs": {"mart/visits": 2},
        "files": {"/b/x.sql": [1, "bb"]},
        "seed": 2,
        "code": "0.1+bb",
    }
    found = {(c.what, c.name): (c.a, c.b) for c in map(in_words, changes(old, new))}
    long = found.pop(("setting", "model.new"))
    assert long == (None, "x" * 299 + "…")
    assert found == {
        ("input", "mart/visits"): ("0", "2"),
        ("file", "x.sql"): ("as it was", "other content"),
        ("file", "old.sql"): ("there", None),
        ("setting", "model.depth"): ("3", "2"),
        ("setting", "model.gone"): ("true", None),
        ("setting", "recipe"): (None, '[{"operator": "Scale"}]'),
        ("seed", ""): ("1", "2"),
        ("code", ""): ("0.1+aa", "0.1+bb"),
        ("input", "old/table"): ("1", None),
    }
    assert list(changes(old, old)) == []
    moved = {**old, "files": {"/b/x.sql": [1, "aa"], "/c/old.sql": [1, "cc"]}}
    assert list(changes(old, moved)) == []  # a file counts by its name
    swapped = {**old, "config": {**old["config"], "recipe": old["config"]["recipe"][::-1]}}
    (first, second) = map(in_words, changes(old, swapped))
    assert first == StageChange(what="setting", name="recipe[0].operator", a="Log", b="PCA")
    assert second.name == "recipe[1].operator"


def evaluation(rows: int, groups: int) -> Evaluation:
    labels = np.arange(rows) % 2
    return evaluate_models(
        labels,
        np.arange(rows) % groups,
        {"a": np.linspace(0, 1, rows), "b": np.full(rows, 0.5)},
        ["b"],
        samples=10,
        group_name="shops",
    )


def told(lake: Lake, a: Evaluation, b: Evaluation, wheres: tuple[str, str] | None) -> Any:
    """What is said of the rows of two evaluations with these conditions, their inputs unknown."""
    commits: list[Commit | None] = [
        None
        if wheres is None
        else Commit(
            version=version,
            operation="WRITE",
            rows=8,
            metadata={"config": {"where": where, "label": "again", "group": "shop"}},
            parameters={},
            at=0.0,
        )
        for version, where in enumerate(wheres or ("", ""))
    ]
    pair = EvaluationPair(stage="evaluate", a=a, b=b)
    return rows_of_both(lake, pair, {"fingerprint": "a"}, {"fingerprint": "b"}, commits)


def test_figures_of_other_rows_are_called_so(lake: Lake) -> None:
    one = evaluation(40, 8)
    found = told(lake, one, evaluation(30, 6), None)
    assert found.rows == "different"
    assert "40 rows in A, 30 in B; 8 shops in A, 6 in B; 20 positive rows" in found.rows_note
    found = told(lake, one, one, ("day > 20", "day > 19"))
    assert (
        found.rows == "different" and "`where` is day > 20 in A, day > 19 in B" in found.rows_note
    )
    # As many rows, of tables that nothing is known of: nothing is claimed.
    for wheres in (None, ("day > 20", "day > 20")):
        found = told(lake, one, one, wheres)
        assert found.rows == "unknown" and "is not known" in found.rows_note
    found = told(lake, one, replace(one, threshold=0.4), None)
    assert "thresholds differ (0.5 in A, 0.4 in B)" in found.notes[0]


def test_a_run_is_not_compared_with_itself(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="'x' cannot be compared with itself"):
        compare(lake, "x", "x")
    with pytest.raises(ConfigError, match="there is no run 'x'"):
        compare(lake, "x", "y")
