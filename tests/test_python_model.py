"""Models that compute in Python score files as they score Spark's rows."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import ConfigError
from sparkmine.expr import col
from sparkmine.lake import Lake
from sparkmine.mine import KMeans, ScikitLearn
from sparkmine.mine.supervised.calibration import Calibrated
from sparkmine.mine.supervised.costs import Costs, Decided

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.model import Model

ROWS = 4_000

KEPT = ["text", "id", "moment", "plain", "day", "price", "raw", "list", "pair", "later"]


def rows(begin: int, **more: Any) -> pa.Table:
    """Columns of many types, with holes in each but the id."""
    rng = np.random.default_rng(begin)
    numbers = np.arange(begin, begin + ROWS)
    moment = datetime.datetime(2024, 3, 31, 0, 30, tzinfo=datetime.UTC)
    hole = rng.random(ROWS) < 0.1
    price = [decimal.Decimal(int(n)) / 100 for n in numbers]
    columns = {
        "day": pa.array(numbers // 1500, pa.int32()),
        "text": pa.array([f"row {n}" for n in numbers], mask=hole),
        "moment": pa.array(
            [moment + datetime.timedelta(minutes=int(n)) for n in numbers],
            pa.timestamp("us", tz="UTC"),
            mask=hole,
        ),
        "plain": pa.array([moment.date() for _ in numbers], pa.date32(), mask=hole),
        "price": pa.array(price, pa.decimal128(12, 2), mask=hole),
        "raw": pa.array([bytes([n % 256]) for n in numbers], pa.binary(), mask=hole),
        "list": pa.array([[float(n), None] for n in numbers], pa.list_(pa.float64())),
        "pair": pa.array([{"one": int(n), "other": str(n)} for n in numbers]),
        "x": pa.array(rng.normal(size=ROWS), mask=hole),
        "even": pa.array(1 - numbers % 2),
        "v": pa.array(rng.normal(size=(ROWS, 3)).astype(np.float32).tolist()),
        "cluster": pa.array(["of another model"] * ROWS),
        **{name: pa.array([value] * ROWS) for name, value in more.items()},
    }
    return pa.table({"id": pa.array(numbers), **columns})


@pytest.fixture(scope="module")
def table(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Two commits, of which the second has a column more; partitions, and files of one name."""
    path = str(tmp_path_factory.mktemp("lake") / "rows")
    for part in (rows(0), rows(ROWS, later=7)):
        frame = spark.createDataFrame(part).repartition(2, "id")
        how = frame.write.format("delta").partitionBy("day").option("mergeSchema", "true")
        how.mode("append").save(path)
    return Lake(Path(path).parent, spark).table("rows").snapshot()


@pytest.fixture(scope="module")
def clusters(spark: SparkSession, table: Snapshot) -> Model:
    usable = table.where("x IS NOT NULL")
    return KMeans(k=3, seed=1).fit(usable, ["x", "v"], spark)


def found(frame: DataFrame) -> pa.Table:
    return frame.toArrow().sort_by("id")


@pytest.mark.parametrize("where", [None, "day = 1", "even = 1 AND day <= 3", "id < 0"])
def test_files_are_scored_as_rows_are(
    spark: SparkSession, table: Snapshot, clusters: Model, where: str | None
) -> None:
    some = table if where is None else table.where(where)
    scored = clusters.score(some, KEPT, spark)
    assert not scored.inputFiles()  # workers read them
    through_spark = clusters.transform(some.dataframe(spark).drop("cluster"))
    expected = found(through_spark.select(*KEPT, "cluster", "distance"))
    assert found(scored).equals(expected)
    assert bool(expected.num_rows) == (where != "id < 0")
    unscored = expected.column("distance").null_count
    assert bool(unscored) == bool(expected.num_rows)


def test_what_only_spark_reads_is_scored_by_its_rows(
    spark: SparkSession, table: Snapshot, clusters: Model
) -> None:
    path = f"{table.path}_vectors"
    frame = table.dataframe(spark).write.format("delta")
    frame.option("delta.enableDeletionVectors", "true").save(path)
    refused = Lake(Path(path).parent, spark).table("rows_vectors").snapshot()
    scored = clusters.score(refused, ["id"], spark)
    assert scored.inputFiles()
    assert found(scored).equals(found(clusters.score(table, ["id"], spark)))


def test_what_wraps_a_model_scores_its_files(spark: SparkSession, table: Snapshot) -> None:
    learnt = ScikitLearn(estimator="sklearn.naive_bayes:GaussianNB").fit(
        table, ["v"], "even", spark=spark
    )
    corrected = Calibrated(model=learnt, curve=col("prediction") * 0.5)
    decided = Decided(
        model=corrected,
        threshold=0.2,
        costs=Costs(false_positive=1, false_negative=1),
        details={},
    )
    expected = decided.transform(table.dataframe(spark))
    assert found(decided.score(table, ["id"], spark)).equals(
        found(expected.select("id", "prediction", "decision"))
    )


def test_columns_are_named_that_are_missing_or_taken(
    spark: SparkSession, table: Snapshot, clusters: Model
) -> None:
    with pytest.raises(ConfigError, match="no column nowhere"):
        clusters.score(table, ["id", "nowhere"], spark)
    with pytest.raises(ConfigError, match="already has cluster"):
        clusters.score(table, ["id", "cluster"], spark)
