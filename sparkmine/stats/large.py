"""Vocabularies that are too large for the driver: executors make them, from files of counts.

The reducers have written every key and its counts. One pass over these files gives the values; an
order by frequency, which numbers and `top_k` need, takes a sort before it (a shuffle and a pass).
The driver knows the names of the files and the number of rows in each.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sparkmine.expr import FiledVocabulary, Vocabulary, frame_of, read_files
from sparkmine.stats.base import KeyedStat
from sparkmine.stats.selected import Selected

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Keys that an executor turns into values at once.
_ROWS = 1 << 17
_WRITTEN = "number bigint, rows bigint"


@dataclass(frozen=True)
class KeyFiles:
    """The counts of a keyed stat as Parquet files, and a question to them.

    Attributes:
        files: With the columns `key`, `count` and what else the stat counts; a row without a key
            holds totals.
        folder: Takes vocabularies.
    """

    spark: SparkSession
    stat: KeyedStat
    files: Sequence[Path]
    folder: Path

    def vocabulary(
        self, answer: Selected, make: Callable[[Any], Vocabulary], ordered: bool
    ) -> FiledVocabulary:
        """See `Selected.vocabulary`; `answer` has the totals."""
        part, least = replace(answer, files=None), self.stat.min_count
        sort = ordered or self.stat.top_k is not None
        if sort:
            counts = read_files(self.spark, self.files)
            counts = counts.where(f"key is not null and count >= {least}")
            order = counts["count"].desc(), counts["key"]
            runs = _sorted(counts.orderBy(*order), self.folder, answer.size)
        else:
            runs = [_Run(file, 0, pq.read_metadata(file).num_rows) for file in self.files]

        def values(table: pa.Table, start: int) -> pa.Table:
            selected = pc.greater_equal(table.column("count"), least)
            table = table.filter(pc.and_(selected, pc.is_valid(table.column("key"))))
            return make(part.part(table, start)).table()

        files = _mapped(self.spark, runs, values, self.folder)
        if sort:
            _remove(runs)
        return _vocabulary(self.spark, files)


def extended(
    spark: SparkSession, before: Vocabulary, after: Vocabulary, start: int, folder: Path
) -> FiledVocabulary:
    """`before.extended(after, start)` where one of them is files; `after` in order of its values.

    The files of `before` are copied: its folder may be replaced.
    """
    new = frame_of(spark, after).join(frame_of(spark, before), "key", "left_anti")
    runs = _sorted(new.orderBy("value"), folder)

    def numbered(table: pa.Table, at: int) -> pa.Table:
        numbers = np.arange(start + at, start + at + table.num_rows, dtype=np.float64)
        return pa.table({"key": table.column("key"), "value": numbers})

    kept = before.copied(folder) if len(before) else []
    added = _mapped(spark, runs, numbered, folder)
    _remove(runs)
    return _vocabulary(spark, kept + added)


@dataclass(frozen=True)
class _Run:
    """The first `rows` rows of a file, with `start` rows before it."""

    file: Path
    start: int
    rows: int

    def tables(self) -> Iterator[tuple[pa.Table, int]]:
        at = 0
        for batch in pq.ParquetFile(self.file).iter_batches(_ROWS):
            if at >= self.rows:
                return
            yield pa.Table.from_batches([batch.slice(0, self.rows - at)]), self.start + at
            at += batch.num_rows


def _sorted(frame: DataFrame, folder: Path, rows: int | None = None) -> list[_Run]:
    """The first `rows` rows of an ordered DataFrame, by default all, as files one behind the
    other."""
    name = uuid.uuid4().hex

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        number = context.partitionId() if context else 0
        yield from _write(number, folder / f"{name}-{number:05}.parquet", _blocks(batches))

    runs, start = [], 0
    for number, written in _done(frame.mapInArrow(write, _WRITTEN)):
        left = written if rows is None else min(written, rows - start)
        if left > 0:
            runs.append(_Run(folder / f"{name}-{number:05}.parquet", start, left))
        start += written
    return runs


def _mapped(
    spark: SparkSession,
    runs: Sequence[_Run],
    function: Callable[[pa.Table, int], pa.Table],
    folder: Path,
) -> list[Path]:
    """`function` of the tables of all runs and of how many rows are before, as files."""
    name = uuid.uuid4().hex

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                made = (function(table, start) for table, start in runs[index].tables())
                yield from _write(index, folder / f"{name}-{index:05}.parquet", made)

    numbers = spark.range(0, len(runs), 1, max(len(runs), 1))
    done = _done(numbers.mapInArrow(write, _WRITTEN))
    return [folder / f"{name}-{index:05}.parquet" for index, rows in done if rows]


def _write(number: int, target: Path, tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Write one file; a task that runs again writes the same."""
    temporary, rows = target.with_name(f".{target.name}.{uuid.uuid4().hex}"), 0
    writer = None
    for table in tables:
        writer = writer or pq.ParquetWriter(temporary, table.schema)
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
        temporary.replace(target)
    yield pa.RecordBatch.from_pydict({"number": [number], "rows": [rows]})


def _remove(runs: Sequence[_Run]) -> None:
    for run in runs:
        run.file.unlink()


def _done(written: DataFrame) -> list[tuple[int, int]]:
    return sorted((row["number"], row["rows"]) for row in written.collect())


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Spark's batches are small for row groups of a file."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= _ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _vocabulary(spark: SparkSession, files: Sequence[Path]) -> FiledVocabulary:
    """The files as a vocabulary; its digest depends on neither their order nor how they are cut."""
    from pyspark.sql import functions as F

    hashed = read_files(spark, files).select(F.bit_xor(F.xxhash64("key", "value")))
    text = f"{sum(pq.read_metadata(file).num_rows for file in files)} {hashed.collect()[0][0]}"
    return FiledVocabulary(files, hashlib.sha256(text.encode()).hexdigest()[:16])
