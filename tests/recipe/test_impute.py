"""Missing values, by hand and against scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer

from sparkmine.errors import RecipeError
from sparkmine.recipe import operators
from sparkmine.recipe.selectors import select

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(2)


def test_mode_equals_scikit_learn(fit: Any) -> None:
    values = RNG.integers(-5, 5, 500).astype(float)
    values[RNG.random(500) < 0.2] = NAN
    words = RNG.choice(["red", "green", "blue"], 500, p=[0.2, 0.5, 0.3]).astype(object)
    words[::7] = None
    table = pa.table({"x": values, "w": pa.array(words, pa.string())})
    found = fit(operators.ImputeMode(), table).transform(table)
    expected = SimpleImputer(strategy="most_frequent").fit_transform(values[:, None])[:, 0]
    assert found.column("x").to_pylist() == expected.tolist()
    plain = SimpleImputer(strategy="most_frequent", missing_values=None)
    assert found.column("w").to_pylist() == plain.fit_transform(words[:, None])[:, 0].tolist()


def test_mode_of_awkward_columns(fit: Any) -> None:
    table = pa.table(
        {
            "x": [NAN, NAN, INF, INF, INF, 2.5, None],
            "i": pa.array([3, None, 3, 1, 1, 3, 1], pa.int64()),
            "empty": pa.array([None] * 7, pa.float64()),
            "words": pa.array([None] * 7, pa.string()),
            "flag": [True, False, None, False, False, True, None],
        }
    )
    fitted = fit(operators.ImputeMode(output="{}_full"), table)
    found = fitted.transform(table).to_pydict()
    assert found["x_full"] == [2.5, 2.5, INF, INF, INF, 2.5, 2.5]
    assert found["i_full"] == [3, 1, 3, 1, 1, 3, 1]  # a tie: the smaller one
    assert found["empty_full"] == [0.0] * 7 and found["words_full"] == [None] * 7
    assert found["flag_full"] == [True, False, False, False, False, True, False]
    assert fitted.outcome.infos["flag_full"].kind == "boolean"
    with pytest.raises(RecipeError, match="'t' is of kind time"):
        dates = pa.table({"t": pa.array([1], pa.date32())})
        fit(operators.ImputeMode(columns=select("t")), dates)


def test_constants_of_both_kinds(fit: Any) -> None:
    table = pa.table({"x": [1.0, NAN, None, INF], "w": ["a", None, "", "b"], "f": [True] * 4})
    found = fit(operators.ImputeConstant(value=-1), table).transform(table).to_pydict()
    assert found["x"] == [1.0, -1.0, -1.0, INF] and found["w"] == ["a", None, "", "b"]
    words = fit(operators.ImputeConstant(value="none"), table)
    found = words.transform(table).to_pydict()
    assert found["w"] == ["a", "none", "", "b"] and found["f"] == ["true"] * 4
    assert {info.kind for info in words.outcome.infos.values()} == {"text"}
    with pytest.raises(RecipeError, match="'x', a column of kind number"):
        fit(operators.ImputeConstant(columns=select("x")), table)
    for value in (True, NAN, None):
        with pytest.raises(RecipeError, match="value="):
            operators.ImputeConstant(value=value)


def test_means_by_group(fit: Any) -> None:
    table = pa.table(
        {
            "x": [1.0, 3.0, None, 10.0, NAN, NAN, INF, None, 4.0],
            "shop": ["a", "a", "a", "b", "b", "c", "c", None, None],
        }
    )
    fitted = fit(operators.ImputeByGroup(by="shop"), table)
    found = fitted.transform(table).column("x").to_pylist()
    assert found == [1.0, 3.0, 2.0, 10.0, 10.0, 4.5, INF, 4.5, 4.0]
    unseen = pa.table({"x": [NAN], "shop": ["never"]})
    assert fitted.transform(unseen).column("x").to_pylist() == [4.5]
    numbers = pa.table({"x": [1.0, None, 5.0], "shop": pa.array([7, 7, 8], pa.int64())})
    by_number = fit(operators.ImputeByGroup(by="shop"), numbers).transform(numbers)
    assert by_number.column("x").to_pylist() == [1.0, 1.0, 5.0]
    assert by_number.column("shop").to_pylist() == [7, 7, 8]
    with pytest.raises(RecipeError, match="by="):
        operators.ImputeByGroup()


def test_sparse_columns_of_any_type_are_dropped(fit: Any) -> None:
    table = pa.table(
        {
            "full": [1.0] * 10,
            "nan": [NAN] * 6 + [None] * 3 + [1.0],
            "half": [NAN] * 5 + [INF] * 5,
            "word": pa.array([None] * 10, pa.string()),
            "list": pa.array([None] * 9 + [["a"]]),
        }
    )
    every = select("full", "nan", "half", "word", "list")
    fitted = fit(operators.DropSparseColumns(columns=every, max_missing=0.8), table)
    assert fitted.outcome.dropped == ("nan", "word", "list")
    assert fitted.outcome.details["missing"]["half"] == 0.5
    none = fit(operators.DropSparseColumns(columns=every, max_missing=0.9), table)
    assert none.outcome.dropped == ("word",)
    assert fit(operators.DropSparseColumns(), table.slice(0, 0)).outcome.dropped == ()
    assert fit(operators.DropSparseColumns(max_missing=0.0), table).outcome.dropped == (
        *("nan", "half", "word", "list"),
    )
    with pytest.raises(RecipeError, match="max_missing"):
        operators.DropSparseColumns(max_missing=1.0)
