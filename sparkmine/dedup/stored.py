"""Pieces in the files of a table, which tasks read as they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.dedup.flow import Spread, Task
from sparkmine.dedup.pieces import ARROW, SCHEMA
from sparkmine.lake import Snapshot
from sparkmine.lake.scan import Block, DirectScanRefused, Scan, shared

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Stored(Spread):
    """The pieces of a snapshot, or other columns.

    Payloads of megabytes take the way through rows of the JVM slowly, so tasks read the files by
    themselves if they can.
    """

    def __init__(
        self, snapshot: Snapshot, spark: SparkSession, columns: Sequence[str] = ARROW.names
    ) -> None:
        self.snapshot, self._spark, self._columns = snapshot, spark, list(columns)

    @cached_property
    def frame(self) -> DataFrame:  # type: ignore[override]
        return self.snapshot.dataframe(self._spark).select(*self._columns)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.snapshot.files)

    def through(self, task: Task) -> Spread:
        return Spread(self.rows(task, SCHEMA))

    def rows(self, task: Task, schema: str) -> DataFrame:
        """What the tasks make of them, as rows."""
        try:
            scan = Scan.of(self.snapshot, self._columns)
        except DirectScanRefused:
            return self.frame.mapInArrow(task, schema)
        shares = shared(scan.blocks(), self._spark.sparkContext.defaultParallelism)
        numbers = self._spark.range(0, len(shares), 1, max(len(shares), 1))
        return numbers.mapInArrow(_Reading(scan, shares, task), schema)


@dataclass(frozen=True)
class _Reading:
    scan: Scan
    shares: Sequence[Sequence[Block]]
    task: Task

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return self.task(self._read(batches))

    def _read(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for table in self.scan.read_many(self.shares[number]):
                    yield from table.to_batches()
