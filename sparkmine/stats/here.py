"""What is small, in the driver's own process: a scan, or what is computed row by row.

A Spark job with Python workers takes half a second and more, whatever it reads, and one of long
expressions seconds until Java has compiled them. What one process does in that time is done here,
by the same functions and with the same result as in tasks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.lake.scan import Block, DirectScanRefused, Scan
from sparkmine.lake.snapshot import Snapshot
from sparkmine.stats.task import Earlier, Row
from sparkmine.stats.work import Work

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

# Of Parquet's uncompressed pages, and values, of which a dictionary packs many into few bytes.
BYTES = 1 << 28
VALUES = 1 << 25
# Of earlier counts: their files are compressed.
COUNTS_BYTES = 1 << 25
# Of what is computed row by row: by so many rows it is known how long all take, and what is longer
# than this is for tasks.
SAMPLE, SECONDS = 500, 2.0


def is_small(work: Work, blocks: Sequence[Block], earlier: Sequence[Row]) -> bool:
    """Whether the driver scans it about as quickly as a Spark job starts."""
    rows = sum(block.rows for block in blocks)
    counts = sum(row[3].file.stat().st_size for row in earlier if isinstance(row[3], Earlier))
    return (
        sum(block.bytes for block in blocks) <= BYTES
        and rows * len(work.columns) <= VALUES
        and counts <= COUNTS_BYTES
    )


def scanned(
    work: Work, scan: Scan, shares: Sequence[Sequence[Block]], earlier: Sequence[Row]
) -> list[Row]:
    """The rows that a Spark job would bring to the driver, one thread for a share of the blocks."""

    def states(part: int) -> list[Row]:
        return list(work.scan(scan.read_many(shares[part]), part))

    def reduced(rows: list[Row]) -> list[Row]:
        return list(work.reduce(rows))

    with ThreadPoolExecutor(threads()) as pool:
        rows = [*chain.from_iterable(pool.map(states, range(len(shares)))), *earlier]
        if not work.keyed:
            return rows
        rows.sort(key=_bucket)
        buckets = [list(group) for _, group in groupby(rows, _bucket)]
        return list(chain.from_iterable(pool.map(reduced, buckets)))


def computed(
    snapshot: Snapshot, by_spark: DataFrame, function: Callable[[pa.Table], pa.Table | None]
) -> DataFrame:
    """`by_spark`, or the same rows computed now from the files, if that is a matter of a second.

    Args:
        by_spark: What Spark would make of the rows of the snapshot, when it is asked for them.
        function: Makes the same of an Arrow table, a row of each row; None of any table if it
            needs Spark.
    """
    table = _read(snapshot, function)
    if table is None:
        return by_spark
    size = max(-(-table.num_rows // threads()), 1)
    parts = [table.slice(begin, size) for begin in range(0, max(table.num_rows, 1), size)]
    with ThreadPoolExecutor(threads()) as pool:
        made = [found for found in pool.map(function, parts) if found is not None]
    spark, schema = by_spark.sparkSession, by_spark.schema
    # A partition for each batch of Arrow, 10,000 rows, would become a file each.
    frame = spark.createDataFrame(_as(made, schema), schema)
    return frame.coalesce(spark.sparkContext.defaultParallelism)


def _read(snapshot: Snapshot, function: Callable[[pa.Table], pa.Table | None]) -> pa.Table | None:
    """The rows, if they are few and `function` is quick with them; None if they are for Spark."""
    if sum(file.size for file in snapshot.files) > BYTES:
        return None  # and the footers of many files are not read
    try:
        scan = Scan.of(snapshot)
    except DirectScanRefused:
        return None
    none = scan.schema.empty_table()
    if function(none) is None:
        return None
    blocks = scan.blocks()
    values = sum(block.rows for block in blocks) * len(scan.schema.names)
    if sum(block.bytes for block in blocks) > BYTES or values > VALUES:
        return None
    with ThreadPoolExecutor(threads()) as pool:
        table = pa.concat_tables([none, *pool.map(scan.read, blocks)])
    few = table.slice(0, SAMPLE)
    if table.num_rows <= 2 * SAMPLE:
        return table
    made = function(few)  # what it imports is not the cost of a row
    if made is None:
        return None
    share = table.num_rows / few.num_rows
    seconds = (_seconds(function, few) - _seconds(function, none)) * share / threads()
    return None if seconds > SECONDS or made.nbytes * share > BYTES else table


def _seconds(function: Callable[[pa.Table], object], table: pa.Table) -> float:
    start = time.perf_counter()
    function(table)
    return time.perf_counter() - start


def threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _as(tables: Sequence[pa.Table], schema: StructType) -> pa.Table:
    """The tables as one, with the Arrow types of a schema."""
    from pyspark.sql.pandas.types import to_arrow_schema

    wanted = to_arrow_schema(schema, timezone="UTC")
    return pa.concat_tables([table.select(wanted.names).cast(wanted) for table in tables])


def _bucket(row: Row) -> int:
    return row[1]
