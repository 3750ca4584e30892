"""Categories, against pandas, scikit-learn and values by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import MultiLabelBinarizer, OneHotEncoder

from sparkmine.errors import RecipeError
from sparkmine.recipe import operators
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.selectors import select

RNG = np.random.default_rng(8)
WORDS = RNG.choice(["red", "green", "blue", "ä b"], 400, p=[0.5, 0.25, 0.15, 0.1])
TABLE = pa.table({"w": WORDS})


def test_indicators_equal_scikit_learn(fit: Any) -> None:
    found = fit(operators.OneHot(), TABLE).transform(TABLE)
    encoder = OneHotEncoder(categories=[["red", "green", "blue", "ä b"]], sparse_output=False)
    expected = encoder.fit_transform(WORDS[:, None])
    names = ["w_is_red", "w_is_green", "w_is_blue", "w_is_b", "w_is_other", "w_is_missing"]
    assert found.schema.names == names
    assert np.array_equal(found.select(names[:4]).to_pandas(), expected)


def test_categories_called_missing_or_other(fit: Any) -> None:
    table = pa.table({"w": ["missing", "missing", "Other", None, "new"]})
    found = fit(operators.OneHot(min_count=1, top_k=2), table).transform(table).to_pydict()
    assert found == {
        "w_is_missing_0": [1, 1, 0, 0, 0],
        "w_is_other_1": [0, 0, 1, 0, 0],
        "w_is_other": [0, 0, 0, 0, 1],
        "w_is_missing": [0, 0, 0, 1, 0],
    }


def test_lists_equal_scikit_learn(fit: Any) -> None:
    lists = [RNG.choice(["a", "b", "c", "d"], size).tolist() for size in RNG.integers(0, 6, 300)]
    table = pa.table({"w": pa.array(lists)})
    fitted = fit(operators.MultiHot(), table)
    found = fitted.transform(table)
    expected = MultiLabelBinarizer(classes=["a", "b", "c", "d"]).fit_transform(lists)
    names = [f"w_has_{name}" for name in "abcd"]
    assert sorted(found.schema.names) == names
    assert np.array_equal(found.select(names).to_pandas(), expected)
    new = pa.table({"w": pa.array([None, [], ["never"], [None, "a", "a"]])})
    assert fitted.transform(new).column("w_has_a").to_pylist() == [0, 0, 0, 1]


def test_rare_elements_are_left_out(fit: Any) -> None:
    table = pa.table({"w": pa.array([["A", "b"], ["b", "a"], None, ["A", None], ["c"]])})
    names = fit(operators.MultiHot(min_count=2), table).outcome.outputs
    assert list(names) == ["w_has_a", "w_has_b"]
    clash = fit(operators.MultiHot(), table).outcome  # "A" and "a" have one safe name
    assert list(clash.outputs) == ["w_has_a_0", "w_has_b_1", "w_has_a_2", "w_has_c_3"]
    assert clash.dropped == ("w",) and clash.infos["w_has_c_3"].kind == "one-hot"
    with pytest.raises(RecipeError, match="'w' is of kind text"):
        fit(operators.MultiHot(columns=select("w")), TABLE)


def test_shares_equal_pandas(fit: Any) -> None:
    holed = pa.array([None if i % 3 == 0 else w for i, w in enumerate(WORDS)], pa.string())
    table = pa.table({"w": holed})
    fitted = fit(operators.FrequencyEncode(), table)
    expected = holed.to_pandas().map(holed.to_pandas().value_counts(normalize=True))
    found = fitted.transform(table).column("w").to_pandas()
    assert np.allclose(found, expected, equal_nan=True) and found.isna().sum() == 134
    new = pa.table({"w": ["never", None]})
    assert fitted.transform(new).column("w").to_pylist() == [0.0, None]
    one = fit(operators.FrequencyEncode(top_k=1), table).transform(table).column("w")
    assert len(one.unique()) == 3  # null, the share of red, 0
    numbers = pa.table({"i": pa.array([3, 3, 4, None], pa.int64())})
    encoded = fit(operators.FrequencyEncode(columns=select("i")), numbers).transform(numbers)
    assert encoded.column("i").to_pylist() == [2 / 3, 2 / 3, 1 / 3, None]


def test_hashes(fit: Any) -> None:
    table = pa.table({"w": pa.array([f"word {i}" for i in range(5000)])})
    fitted = fit(operators.HashEncode(buckets=10), table)
    found = fitted.transform(table).column("w").to_pandas()
    assert set(found) == set(range(10)) and found.value_counts().min() > 400
    assert fitted.outcome.infos["w"] == ColumnInfo("w", "bucket", 10, ("w",))
    # In Spark hash('Spark') is 228093765.
    few = pa.table({"w": ["Spark", None]})
    assert fitted.transform(few).column("w").to_pylist() == [228093765 % 10, None]


def test_crosses(fit: Any) -> None:
    table = pa.table({"a": ["x", "y", None, ""], "f": [True, None, False, False]})
    fitted = fit(operators.Cross(output="af"), table)
    assert fitted.transform(table).column("af").to_pylist() == ["x|true", None, None, "|false"]
    assert fitted.outcome.infos["af"] == ColumnInfo("af", "text", None, ("a", "f"))
    with pytest.raises(RecipeError, match="at least 2 columns"):
        fit(operators.Cross(output="w2"), TABLE)


def test_columns_without_values(fit: Any) -> None:
    table = pa.table({"w": pa.array([None, None], pa.string())})
    lists = pa.table({"w": pa.array([None, None], pa.list_(pa.string()))})
    assert list(fit(operators.OneHot(), table).outcome.outputs) == ["w_is_other", "w_is_missing"]
    assert fit(operators.MultiHot(), lists).transform(lists).num_columns == 0
    for operator in (operators.FrequencyEncode(), operators.HashEncode()):
        assert fit(operator, table).transform(table).column("w").to_pylist() == [None, None]


def test_wrong_parameters_are_refused() -> None:
    for make, match in [
        (lambda: operators.OneHot(output="x"), "OneHot names"),
        (lambda: operators.MultiHot(top_k=0), "MultiHot wants top_k"),
        (lambda: operators.FrequencyEncode(top_k=0), "top_k"),
        (lambda: operators.HashEncode(buckets=1), "at least 2"),
        (lambda: operators.Cross(), "output="),
    ]:
        with pytest.raises(RecipeError, match=match):
            make()
