"""A scan as a Spark job: tasks update states, which meet in one shuffle or are merged in a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkmine.expr import col, to_column
from sparkmine.lake.scan import Block, Scan, by_tasks
from sparkmine.stats import task
from sparkmine.stats.task import Row
from sparkmine.stats.work import Work

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import DataFrame, SparkSession

# States of one stat that one process merges; above it there is one more level of the tree.
FAN_IN = 16

Batches = Iterable[pa.RecordBatch]


def of_files(
    work: Work,
    spark: SparkSession,
    scan: Scan,
    shares: Sequence[Sequence[Block]],
    earlier: Sequence[Row],
    read: Accumulator[int],
) -> DataFrame:
    """The rows for the driver, of tasks that read a share of the files each, and of `earlier`."""

    def update(part: int, blocks: Sequence[Block]) -> Iterator[pa.RecordBatch]:
        tables = scan.read_many(blocks, read)
        yield from task.packed(work.scan(tables, part, part // FAN_IN))

    rows = by_tasks(spark, shares, update, task.SCHEMA)
    return _met(work, rows, max(len(shares), 1), earlier)


def of_rows(work: Work, spark: SparkSession, frame: DataFrame) -> DataFrame:
    """The rows for the driver, of tasks that are given the rows of `frame` by Spark."""

    def update(batches: Batches) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        part = context.partitionId() if context else 0
        yield from task.packed(work.scan(batches, part, part // FAN_IN))

    # Few tasks of many partitions: each leaves one state of every stat.
    tasks = 2 * spark.sparkContext.defaultParallelism
    columns = [to_column(col(name)).alias(name) for name in work.columns]
    rows = frame.select(*columns).coalesce(tasks).mapInArrow(update, task.SCHEMA)
    return _met(work, rows, tasks, ())


def _met(work: Work, rows: DataFrame, tasks: int, earlier: Sequence[Row]) -> DataFrame:
    """States that few enough are left of for the driver, and the answers of keyed ones."""
    if earlier:
        # Not a range: its rows would be in the metrics of what was read.
        rows = rows.union(rows.sparkSession.createDataFrame(task.table_of(earlier)))
    if work.keyed or tasks > FAN_IN:
        reducing = work.reduce if work.keyed else work.merge
        # By the number itself: hashed, two of few buckets are often one task's.
        rows = _by_bucket(rows, work).mapInArrow(_on_batches(reducing), task.SCHEMA)
        tasks = -(-tasks // FAN_IN)
    while tasks > FAN_IN:
        above = f"CAST(bucket DIV {FAN_IN} AS INT) AS bucket"
        rows = _by_bucket(rows.selectExpr("stat", above, "part", "state"), work)
        rows = rows.mapInArrow(_on_batches(work.merge), task.SCHEMA)
        tasks = -(-tasks // FAN_IN)
    return rows


def _by_bucket(rows: DataFrame, work: Work) -> DataFrame:
    return rows.repartitionById(work.buckets, "bucket")


def _on_batches(function: Any) -> Any:
    def apply(batches: Batches) -> Iterator[pa.RecordBatch]:
        yield from task.packed(function(task.rows_of(batches)))

    return apply
