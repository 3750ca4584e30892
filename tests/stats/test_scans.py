"""Scans are counted alike on all paths, and agree with the bytes that are really read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pyarrow.parquet as pq
import pytest

from sparkmine.lake import Lake
from sparkmine.lake.input_metrics import InputMetrics
from sparkmine.recipe import Recipe, operators
from sparkmine.recipe.columns import columns_of
from sparkmine.recipe.rounds import Rounds
from sparkmine.recipe.selectors import select
from sparkmine.stats import StatEngine, here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

ROWS = 600_000
NUMBERS = select("x", "z")
SCANS = 2  # PCA waits for the scaled columns


def recipe() -> Recipe:
    return Recipe(
        operators.Standardize(columns=NUMBERS),
        operators.OneHot(columns=select("word")),
        operators.PCA(columns=NUMBERS, k=1),
    )


@pytest.fixture(scope="module")
def snapshot(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Numbers that no encoding makes smaller, in two columns of 5 MB, and a small one."""
    table = Lake(tmp_path_factory.mktemp("lake"), spark).table("numbers")
    word = "if(id % 2 = 0, 'red', 'green') as word"
    table.write(spark.range(0, ROWS, 1, 3).selectExpr("randn(1) as x", "randn(2) as z", word))
    return table.snapshot()


@pytest.fixture(params=["here", "direct", "dataframe", "refused"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the driver, by tasks that read files, by Spark's readers."""
    if request.param == "direct":
        monkeypatch.setattr(here, "BYTES", -1)
    return str(request.param)


@pytest.fixture
def source(path: str, spark: SparkSession, snapshot: Snapshot) -> Snapshot | DataFrame:
    if path == "dataframe":
        return snapshot.dataframe(spark)
    return refused(spark, snapshot) if path == "refused" else snapshot


def refused(spark: SparkSession, snapshot: Snapshot) -> Snapshot:
    """The same rows in a table that only Spark's reader may read."""
    path = f"{snapshot.path}_vectors"
    frame = snapshot.dataframe(spark)
    made = frame.write.format("delta").option("delta.enableDeletionVectors", "true")
    made.mode("ignore").save(path)
    lake = Lake(path.rsplit("/", 1)[0], spark)
    return lake.table("numbers_vectors").snapshot()


def test_every_scan_reads_every_row_once(spark: SparkSession, source: Snapshot | DataFrame) -> None:
    context = spark.sparkContext
    context.setJobGroup("stage features", "set by a stage")
    engine = StatEngine(source, spark)
    rounds = Rounds(recipe(), columns_of(source.schema))
    while (requests := rounds.advance()) is not None:
        rounds.receive(engine.run(requests, rounds.ahead()))
    assert engine.scans == SCANS
    assert engine.rows_read == SCANS * ROWS
    assert context.getLocalProperty("spark.jobGroup.id") == "stage features"
    assert not context.getJobTags()


def test_the_bytes_read_are_those_of_the_scans(
    spark: SparkSession, snapshot: Snapshot, path: str, source: Snapshot | DataFrame
) -> None:
    recipe().fit(source)  # workers have read their modules
    with counted_by_spark(spark) as metrics:
        before = read_by_python()
        fitted = recipe().fit(source)
        driver, workers = (b - a for a, b in zip(before, read_by_python(), strict=True))
    once = stored_bytes(snapshot, ("x", "z"))
    assert fitted.scans == SCANS and once > 16 * ROWS
    # Between: footers, the small column, states that tasks send one another.
    found = {"here": driver, "direct": workers}.get(path, metrics.bytes)
    assert SCANS * once <= found < (SCANS + 0.5) * once
    assert (path in ("here", "direct")) == (metrics.bytes == 0)
    assert path != "here" or workers < once


@contextmanager
def counted_by_spark(spark: SparkSession) -> Iterator[InputMetrics]:
    metrics = InputMetrics(spark)
    # Vectored reads of local files are in no count of bytes.
    spark.conf.set("parquet.hadoop.vectored.io.enabled", "false")
    try:
        with metrics.counting():
            yield metrics
    finally:
        spark.conf.unset("parquet.hadoop.vectored.io.enabled")


def read_by_python() -> tuple[int, int]:
    """Bytes that this process and Python workers have read by system calls, files and sockets."""
    this = psutil.Process()
    workers = [p for p in this.children(recursive=True) if p.name().startswith("python")]
    return this.io_counters().read_chars, sum(p.io_counters().read_chars for p in workers)


def stored_bytes(snapshot: Snapshot, names: tuple[str, ...]) -> int:
    """What the column chunks take in the files, by the footers."""
    total = 0
    for file in snapshot.files:
        metadata = pq.ParquetFile(file.path).metadata
        for group in range(metadata.num_row_groups):
            chunks = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
            total += sum(c.total_compressed_size for c in chunks if c.path_in_schema in names)
    return total
