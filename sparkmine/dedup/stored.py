"""Pieces in the files of a table, which are read as they lie: by tasks, or, if few, here.

Two cores of this process read a gigabyte in about half a second. That is what the start of a Spark
job with Python takes, so a job is for what is larger, or for files that only Spark may read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.dedup.flow import Here, Spread, Task
from sparkmine.dedup.pieces import ARROW, SCHEMA
from sparkmine.lake import Snapshot
from sparkmine.lake.scan import BATCH_BYTES, Block, DirectScanRefused, Scan, by_tasks, shared
from sparkmine.stats.here import threads

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Of files that this process reads by itself.
HERE_BYTES = 1 << 32
# Bytes that a thread reads at once: they stay near the processor while they are looked at.
_HERE_BATCH = 1 << 23
# Shares of one thread, so that none waits long for another.
_SHARES = 4


class Stored(Spread):
    """The pieces of a snapshot, or other columns.

    Payloads of megabytes take the way through rows of the JVM slowly, so files are read without it
    where that is possible.
    """

    def __init__(
        self, snapshot: Snapshot, spark: SparkSession, columns: Sequence[str] = ARROW.names
    ) -> None:
        self.snapshot, self.spark, self._columns = snapshot, spark, list(columns)

    @cached_property
    def frame(self) -> DataFrame:  # type: ignore[override]
        return self.snapshot.dataframe(self.spark).select(*self._columns)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.snapshot.files)

    def through(self, task: Task) -> Spread:
        return _Through(self.rows(task, SCHEMA))

    def rows(self, task: Task, schema: str) -> Rows:
        """What the tasks make of them, as rows."""
        return Rows(self, task, schema)

    def scan(self) -> Scan | None:
        """How its files are read; None if only Spark may."""
        try:
            return Scan.of(self.snapshot, self._columns)
        except DirectScanRefused:
            return None


@dataclass(frozen=True)
class Rows:
    """What tasks make of stored pieces or columns, once it is asked for."""

    stored: Stored
    task: Task
    schema: str

    @cached_property
    def frame(self) -> DataFrame:
        """As Spark computes it."""
        scan = self.stored.scan()
        if scan is None:
            return self.stored.frame.mapInArrow(self.task, self.schema)
        spark = self.stored.spark
        shares = shared(scan.blocks(), spark.sparkContext.defaultParallelism)
        task = self.task

        def read(_: int, blocks: Sequence[Block]) -> Iterator[pa.RecordBatch]:
            return task(_batches(scan, blocks))

        return by_tasks(spark, shares, read, self.schema)

    def here(self) -> pa.Table:
        """In this process; there are few rows."""
        from pyspark.sql.pandas.types import to_arrow_schema
        from pyspark.sql.types import StructType

        scan = self.stored.scan() if self.stored.size <= HERE_BYTES else None
        if scan is None:
            return self.frame.toArrow()

        def done(share: Sequence[Block]) -> list[pa.RecordBatch]:
            return list(self.task(_batches(scan, share, _HERE_BATCH)))

        with ThreadPoolExecutor(threads()) as pool:
            shares = shared(scan.blocks(), _SHARES * threads())
            found = list(chain.from_iterable(pool.map(done, shares)))
        columns = StructType.fromDDL(self.schema)
        assert isinstance(columns, StructType)
        kinds = to_arrow_schema(columns, timezone="UTC")
        return pa.Table.from_batches(found, None if found else kinds)


class _Through(Spread):
    """Pieces that tasks make of stored ones."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @property
    def frame(self) -> DataFrame:  # type: ignore[override]
        return self._rows.frame

    def here(self) -> Here:
        return Here(self._rows.here().to_batches())


def _batches(
    scan: Scan, blocks: Sequence[Block], limit: int = BATCH_BYTES
) -> Iterator[pa.RecordBatch]:
    for table in scan.read_many(blocks, limit=limit):
        yield from table.to_batches()
