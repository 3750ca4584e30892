"""Selection against scikit-learn and NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import feature_selection
from sklearn.metrics import mutual_info_score

from sparkmine.errors import DataError, RecipeError
from sparkmine.recipe import operators

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(6)
LABELS = RNG.integers(0, 3, 600)
DATA = RNG.gamma(2.0, 2.0, (600, 5)) + LABELS[:, None] * np.array([2.0, 1.0, 0.5, 0.1, 0.0])
TABLE = pa.table({**{f"c{j}": DATA[:, j] for j in range(5)}, "y": LABELS})


def scores(fit: Any, score: str, table: pa.Table = TABLE) -> dict[str, float]:
    operator = operators.SelectKBest(k=2, score=score)
    return fit(operator, table, label="y").outcome.details[score]


@pytest.mark.parametrize(("score", "name"), [("f", "f_classif"), ("chi2", "chi2")])
def test_scores_equal_scikit_learn(fit: Any, score: str, name: str) -> None:
    expected, _ = getattr(feature_selection, name)(DATA, LABELS)
    assert np.allclose(list(scores(fit, score).values()), expected, rtol=1e-9)
    fitted = fit(operators.SelectKBest(k=2, score=score), TABLE, label="y")
    assert sorted(fitted.transform(TABLE).schema.names) == ["c0", "c1", "y"]


def test_mutual_information_equals_scikit_learn(fit: Any) -> None:
    found = scores(fit, "mutual_information")
    for j in range(5):
        inner = np.quantile(DATA[:, j], np.arange(1, 16) / 16)
        expected = mutual_info_score(np.digitize(DATA[:, j], inner), LABELS)
        assert math.isclose(found[f"c{j}"], expected, abs_tol=0.02)
    values = RNG.integers(0, 5, 600).astype(float)  # buckets are the values themselves
    table = pa.table({"x": values, "y": (values > 2).astype(int)})
    found = scores(fit, "mutual_information", table)
    assert math.isclose(found["x"], mutual_info_score(values, values > 2), rel_tol=1e-12)
    rounds = fit(operators.SelectKBest(score="mutual_information"), TABLE, label="y").rounds
    assert rounds == 2


@pytest.mark.parametrize("score", ["f", "chi2", "mutual_information"])
def test_holes_are_left_out(fit: Any, score: str) -> None:
    keep = RNG.random(600) < 0.7
    values = DATA[:, 0].copy()
    values[~keep] = NAN
    labels = pa.array(LABELS, mask=RNG.random(600) < 0.1)
    known = keep & ~np.array(labels.is_null())
    holed = pa.table({"x": values, "y": labels})
    whole = pa.table({"x": DATA[known, 0], "y": LABELS[known]})
    # The edges of buckets come from all values, also those without a label.
    near = 0.1 if score == "mutual_information" else 1e-9
    one, other = scores(fit, score, holed)["x"], scores(fit, score, whole)["x"]
    assert math.isclose(one, other, rel_tol=near)
    flat = pa.table({"c": [2.0] * 4, "e": pa.array([None] * 4, pa.float64()), "y": [0, 0, 1, 1]})
    assert scores(fit, score, flat) == {"c": 0.0, "e": 0.0}
    assert scores(fit, score, flat.slice(0, 0)) == {"c": 0.0, "e": 0.0}


def test_redundant_columns_are_dropped(fit: Any) -> None:
    a, b = RNG.normal(5, 1, 500), RNG.normal(0, 1, 500)
    columns = {"a": a, "b": b, "minus_a": -2 * a, "near_b": b + RNG.normal(0, 0.2, 500)}
    columns |= {"both": a + b, "flat": np.full(500, 0.1), "flat_too": np.full(500, 0.1)}
    table = pa.table(columns)
    expected = np.corrcoef([a, b, columns["near_b"], columns["both"]])
    for threshold in (0.6, 0.9, 0.99):
        fitted = fit(operators.SelectCorrelation(threshold=threshold), table)
        dropped = ["minus_a"]
        dropped += ["near_b"] if abs(expected[1, 2]) > threshold else []
        dropped += ["both"] if max(abs(expected[:2, 3])) > threshold else []
        assert list(fitted.outcome.dropped) == dropped
    assert fit(operators.SelectCorrelation(threshold=0.9), table).outcome.details == {
        "redundant": {"minus_a": "a", "near_b": "b"}
    }


def test_a_dropped_column_drops_no_other(fit: Any) -> None:
    steps = np.cumsum(RNG.normal(0, 1, (300, 6)), axis=1) + RNG.normal(0, 2, (300, 1))
    table = pa.table({f"c{j}": steps[:, j] for j in range(6)})
    kept: list[int] = []
    correlation = np.corrcoef(steps.T)
    for j in range(6):
        if all(abs(correlation[i, j]) <= 0.85 for i in kept):
            kept.append(j)
    fitted = fit(operators.SelectCorrelation(threshold=0.85), table)
    assert fitted.transform(table).schema.names == [f"c{j}" for j in kept] and len(kept) < 6


def test_wrong_data_and_parameters_are_refused(fit: Any) -> None:
    holed = pa.table({"a": [1.0, NAN], "b": [1.0, 2.0]})
    with pytest.raises(DataError, match=r"a \(1\)"):
        fit(operators.SelectCorrelation(), holed)
    negative = pa.table({"x": [-1.0, 2.0], "y": [0, 1]})
    with pytest.raises(DataError, match="'x' has -1"):
        scores(fit, "chi2", negative)
    with pytest.raises(RecipeError, match="label="):
        fit(operators.SelectKBest(), TABLE)
    for make, match in [
        (lambda: operators.SelectCorrelation(threshold=1.0), "between 0 and 1"),
        (lambda: operators.SelectKBest(score="t"), "f, chi2, mutual_information"),
        (lambda: operators.SelectKBest(k=0), "k of at least 1"),
        (lambda: operators.SelectVariance(threshold=-1), "at least 0"),
    ]:
        with pytest.raises(RecipeError, match=match):
            make()
