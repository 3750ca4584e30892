"""Operators against scikit-learn, NumPy and values by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_selection import f_classif

from sparkmine.errors import RecipeError
from sparkmine.recipe import Recipe, operator_from, operators, parse_selector
from sparkmine.recipe.columns import ColumnInfo, columns_of
from sparkmine.recipe.selectors import categorical, matches, numeric, select, starts_with

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(3)
DATA = RNG.normal(0, 1, (400, 6)) @ RNG.normal(0, 1, (6, 6)) + 50.0
LABELS = (DATA[:, 0] + RNG.normal(0, 1, 400) > 50).astype(int)


def frame(spark: SparkSession, **extra: object) -> pa.Table:
    columns = {f"c{j}": DATA[:, j] for j in range(6)}
    return pa.table({"id": range(400), **columns, "y": LABELS, **extra})


def test_select_k_best_equals_scikit_learn(spark: SparkSession) -> None:
    fitted = Recipe(
        operators.SelectKBest(columns=starts_with("c"), k=2), keys=["id"], label="y"
    ).fit(spark.createDataFrame(frame(spark)))
    (row,) = fitted.describe()
    scores, _ = f_classif(DATA, LABELS)
    for j in range(6):
        assert math.isclose(row["details"]["f"][f"c{j}"], scores[j], rel_tol=1e-6)
    best = {f"c{j}" for j in np.argsort(-scores)[:2]}
    assert set(fitted.outputs) == {"id", "y", *best}


def test_values_by_hand(spark: SparkSession) -> None:
    table = pa.table(
        {
            "id": range(6),
            "x": pa.array([1.0, 2.0, 3.0, 4.0, None, math.nan]),
            "w": pa.array(["b", "a", "b", "c", None, "a"]),
        }
    )
    fitted = Recipe(
        operators.BucketizeQuantile(columns=select("x"), buckets=2, output="{}_bucket"),
        operators.ImputeMedian(columns=select("x")),
        operators.Standardize(columns=select("x"), output="{}_z"),
        operators.OneHot(columns=select("w"), top_k=2),
        keys=["id"],
    ).fit(spark.createDataFrame(table))
    found = fitted.transform_arrow(table).to_pydict()
    assert found["x"] == [1.0, 2.0, 3.0, 4.0, 2.0, 2.0]  # the median is a value: 2
    assert found["x_bucket"] == [0.0, 1.0, 1.0, 1.0, None, None]
    spread = math.sqrt(sum((v - 14 / 6) ** 2 for v in found["x"]) / 6)
    assert found["x_z"] == pytest.approx([(v - 14 / 6) / spread for v in found["x"]])
    assert found["w_is_a"] == [0, 1, 0, 0, 0, 1] and found["w_is_b"] == [1, 0, 1, 0, 0, 0]
    assert found["w_is_other"] == [0, 0, 0, 1, 0, 0]
    assert found["w_is_missing"] == [0, 0, 0, 0, 1, 0]
    assert "w" not in found


def test_outputs_know_what_they_are(spark: SparkSession) -> None:
    fitted = Recipe(
        operators.BucketizeQuantile(columns=select("c0"), buckets=4, output="{}_bucket"),
        operators.PCA(columns=select("c1", "c2"), k=1),
        keys=["id"],
        label="y",
    ).fit(spark.createDataFrame(frame(spark)))
    schema = fitted.transform(spark.createDataFrame(frame(spark))).schema
    infos = {column.name: column for column in columns_of(schema)}
    assert infos["c0_bucket"] == ColumnInfo("c0_bucket", "bucket", 4, ("c0",))
    assert infos["pca"] == ColumnInfo("pca", "vector", 1, ("c1", "c2"))
    picked = [column.name for column in numeric().pick(list(infos.values()))]
    assert picked == ["id", "c0", "c3", "c4", "c5", "y"]


def test_selectors() -> None:
    columns = [
        ColumnInfo("a", "number"),
        ColumnInfo("b", "number"),
        ColumnInfo("w", "text"),
        ColumnInfo("k", "bucket"),
    ]

    def names(text: object) -> list[str]:
        return [column.name for column in parse_selector(text).pick(columns)]  # type: ignore[arg-type]

    assert names("numeric()") == ["a", "b"]
    assert names("numeric() - select('a')") == ["b"]
    assert names("categorical() | matches('^k$')") == ["w", "k"]
    assert names("~numeric() & starts_with('k')") == ["k"]
    assert names(["b", "w"]) == ["b", "w"] and names("w") == ["w"]
    assert (numeric() | categorical()) - matches("a") == (numeric() | categorical()) - matches("a")
    for bad in ("numeric(", "open('x')", "numeric().__class__", "numeric() + text()", "select(1)"):
        with pytest.raises(RecipeError):
            parse_selector(bad)
    with pytest.raises(RecipeError, match="'nope'"):
        names("nope")


def test_mistakes_are_named(spark: SparkSession) -> None:
    data = spark.createDataFrame(frame(spark))
    with pytest.raises(RecipeError, match="no operator 'Standardise'"):
        operator_from("Standardise", {})
    with pytest.raises(RecipeError, match="no parameter 'column'"):
        operator_from("Standardize", {"column": "x"})
    with pytest.raises(RecipeError, match=r"operator 1 .*'nope'"):
        Recipe(operators.Standardize(columns=select("nope"))).fit(data)
    with pytest.raises(RecipeError, match="there already"):
        Recipe(operators.Standardize(columns=select("c0"), output="c1")).fit(data)
    with pytest.raises(RecipeError, match="label"):
        Recipe(operators.SelectKBest(columns=select("c0"))).fit(data)
    fitted = Recipe(operators.Standardize(columns=select("c0")), keys=["id"]).fit(data)
    with pytest.raises(RecipeError, match=r"\['c0', 'c1'\]"):
        fitted.transform(data.drop("c0", "c1"))
