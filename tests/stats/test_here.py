"""What is small is computed in the driver, and is what Spark computes."""

from __future__ import annotations

import datetime
import decimal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.expr import col
from sparkmine.lake import Lake
from sparkmine.mine import DecisionTree, ScikitLearn
from sparkmine.mine.expression_model import ExpressionModel, where_known
from sparkmine.mine.supervised.costs import Costs, Decided
from sparkmine.model import Model
from sparkmine.recipe import Recipe
from sparkmine.recipe.operators import (
    PCA,
    BucketizeQuantile,
    ImputeMedian,
    OneHot,
    Standardize,
)
from sparkmine.recipe.selectors import select
from sparkmine.stats import here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

ROWS = 3_000
KINDS = ["moment", "wall", "plain", "price", "raw", "list", "flag", "small"]


@pytest.fixture(scope="module")
def table(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Columns of many types, with holes; partitions, and files without the newest column."""
    path = str(tmp_path_factory.mktemp("lake") / "rows")
    rng = np.random.default_rng(4)
    hole = rng.random(ROWS) < 0.1
    numbers = np.arange(ROWS)
    moments = np.datetime64("2024-03-31T00:30:00", "us") + numbers.astype("timedelta64[m]")
    whole = pa.table(
        {
            "id": numbers,
            "day": pa.array(numbers // 1000, pa.int32()),
            "shop": pa.array(rng.choice(["a", "b", "c"], ROWS), mask=hole[::-1]),
            "words": pa.array([f"milk and {n} more" for n in numbers % 7], mask=hole),
            "moment": pa.array(moments, pa.timestamp("us", tz="UTC"), mask=hole),
            "wall": pa.array(moments, pa.timestamp("us"), mask=hole),
            "plain": pa.array([datetime.date(2024, 3, 31)] * ROWS, mask=hole),
            "price": pa.array([decimal.Decimal(int(n)) / 100 for n in numbers], mask=hole),
            "raw": pa.array([bytes([n % 256]) for n in numbers], mask=hole),
            "list": pa.array([[float(n), None] for n in numbers], mask=hole),
            "flag": pa.array(numbers % 3 == 0, mask=hole),
            "small": pa.array(numbers % 100, pa.int8(), mask=hole),
            "x": pa.array(rng.normal(size=ROWS), mask=hole),
            "y": rng.normal(size=ROWS),
            "even": 1 - numbers % 2,
        }
    )
    later = whole.append_column("later", pa.array(numbers))
    for part in (whole.slice(0, 1500), later.slice(1500)):
        frame = spark.createDataFrame(part).repartition(2, "id")
        how = frame.write.format("delta").partitionBy("day").option("mergeSchema", "true")
        how.mode("append").save(path)
    return Lake(Path(path).parent, spark).table("rows").snapshot()


def files(frame: DataFrame) -> bool:
    """Whether Spark reads the table when the rows are asked for."""
    plan = frame._jdf.queryExecution().optimizedPlan().toString()
    return "Relation" in plan.replace("LocalRelation", "") or "MapInArrow" in plan


def same(one: DataFrame, other: DataFrame) -> None:
    """Equal rows, types and metadata of columns."""
    assert one.schema.json() == other.schema.json()
    tables = [frame.toArrow().sort_by("id").combine_chunks() for frame in (one, other)]
    for name, mine, theirs in zip(one.columns, *(table.columns for table in tables), strict=True):
        if name == "main":  # a matrix product, of blocks of another height
            mine, theirs = (column.combine_chunks().flatten() for column in (mine, theirs))
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, err_msg=name)
        else:
            assert mine.equals(theirs), name


@pytest.mark.parametrize("where", [None, "day = 1 AND y > 0", "id < 0"])
def test_a_recipe(
    spark: SparkSession, table: Snapshot, monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    recipe = Recipe(
        ImputeMedian(columns=select("x", "later")),
        BucketizeQuantile(columns=select("y"), buckets=4, output="{}_bucket"),
        OneHot(columns=select("shop"), top_k=2),
        Standardize(columns=select("y")),
        PCA(columns=select("x", "later"), k=1, output="main"),
        keys=["id"],
        label="even",
        keep=KINDS,
    )
    fitted = recipe.fit(table, spark)
    rows = table if where is None else table.where(where)
    made = fitted.transform(rows, spark)
    monkeypatch.setattr(here, "BYTES", -1)
    by_spark = fitted.transform(rows, spark)
    assert files(by_spark) and not files(made)
    same(made, by_spark)
    assert made.count() == {None: ROWS, "id < 0": 0}.get(where, rows.dataframe(spark).count())


def models(spark: SparkSession, table: Snapshot) -> dict[str, Model]:
    y, x = col("y").cast("double"), col("x").cast("double")
    line = ExpressionModel(expression=where_known([x, y], 0.5 + (x - y) / 20))
    costs = Costs(false_positive=1, false_negative=2)
    known = table.where("x IS NOT NULL")
    bayes = ScikitLearn(estimator="sklearn.naive_bayes:GaussianNB")
    classes = DecisionTree(task="multiclass", max_depth=2)
    return {
        "expression": line,
        "decided": Decided(model=line, threshold=0.5, costs=costs, details={}),
        "classes": classes.fit(known, ["x", "y"], "day", spark=spark),
        "scikit-learn": bayes.fit(known, ["x", "y"], "even", spark=spark),
    }


def test_models(spark: SparkSession, table: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table.where("day <= 1 AND y > -1")
    found = models(spark, table)
    keep = ["id", *KINDS, "later"]
    made = {name: model.score(rows, keep, spark) for name, model in found.items()}
    monkeypatch.setattr(here, "BYTES", -1)
    for name, model in found.items():
        by_spark = model.score(rows, keep, spark)
        assert files(by_spark) and not files(made[name]), name
        same(made[name], by_spark)
        assert 0 < made[name].where("prediction IS NULL").count() < made[name].count()


def test_what_is_large_or_slow_is_for_spark(
    spark: SparkSession, table: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_spark = table.dataframe(spark).select("id")

    def slow(rows: pa.Table) -> pa.Table:
        time.sleep(rows.num_rows * 0.002)
        return rows

    def wide(rows: pa.Table) -> pa.Table:
        letters = pa.array(["x" * 100_000] * rows.num_rows, pa.large_string())
        return rows.append_column("letters", letters)

    assert not files(here.computed(table, by_spark, lambda rows: rows))
    for function in (slow, wide, lambda rows: None):
        assert here.computed(table, by_spark, function) is by_spark
    values = ROWS * len(table.schema.names)
    for most, small in ((values, True), (values - 1, False)):
        monkeypatch.setattr(here, "VALUES", most)
        assert files(here.computed(table, by_spark, lambda rows: rows)) != small
