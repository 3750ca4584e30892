"""Copies of a sample in which the columns of a feature come from other rows, and their scores.

Permuting a column and setting it to a value are the same to this module: row i of a copy has the
feature's columns of row `source[i]`. Few copies for a model that can score them here are scored in
the driver, feature by feature. Others are one Spark job: the sample is sent to the executors once;
tasks make the copies of whole features as Arrow blocks, the model scores them, one small shuffle
brings the scores of a feature together, and a function turns them, as an array [copies, rows,
outputs], into the result. Only results come to the driver.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import DataError, raised_by_workers
from sparkmine.evaluate.explain.probe import HERE, Probe, outputs_of
from sparkmine.evaluate.metrics import Floats
from sparkmine.model import SCORES

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast

# Rows of one Arrow block.
BLOCK = 10_000
COPY, ROW, PART = "_copy", "_row", "_part"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One copy of the sample.

    Fields:
        part: number of the result that it belongs to.
        columns: taken from other rows.
        source: one row for all, or the seed of a permutation.
    """

    part: int
    columns: tuple[str, ...]
    source: int | tuple[int, ...]

    def rows(self, count: int) -> npt.NDArray[np.int64]:
        """From which row each of `count` rows takes the columns."""
        if isinstance(self.source, int):
            return np.full(count, self.source, np.int64)
        return np.random.default_rng(self.source).permutation(count)

    def of(self, table: pa.Table) -> pa.Table:
        """This copy of the sample."""
        source = pa.array(self.rows(table.num_rows))
        made = table
        for name in self.columns:
            place = made.schema.get_field_index(name)
            made = made.set_column(place, made.field(place), table.column(name).take(source))
        return made


def permutation(seed: int, feature: str, repeat: int) -> tuple[int, ...]:
    """The seed of a permutation: of a feature's name, so that it does not depend on the others."""
    return (seed, crc32(feature.encode()), repeat)


def score_copies(
    probe: Probe, copies: Sequence[Copy], measure: Callable[[int, Floats], Any]
) -> list[Any]:
    """What `measure` makes of the scores of each part, in the order of the parts.

    Args:
        copies: in the order of their parts.
        measure: from the number of a part and the model's numbers [copies, rows, outputs] to
            something that can be pickled; runs on executors, or here.

    Raises:
        DataError: a copy has rows without a score.
    """
    from pyspark.sql.types import IntegerType, StructField, StructType

    if not copies:
        return []
    if len(copies) * len(probe) <= HERE:
        found = _scored_here(probe, copies, measure)
        if found is not None:
            return found
    spark = probe.spark
    sent = spark.sparkContext.broadcast(_written(probe.table))
    schema = StructType(
        [*probe.schema.fields, *(StructField(name, IntegerType()) for name in (PART, COPY, ROW))]
    )
    parallel = spark.sparkContext.defaultParallelism
    tasks = min(len(copies), 2 * parallel)
    numbers = spark.range(0, len(copies), 1, tasks)
    made = numbers.mapInArrow(_Maker(tuple(copies), sent), schema)
    scored = probe.model.transform(made)
    kept = [name for name in SCORES if name in scored.columns]
    parts = len({copy.part for copy in copies})
    reader = _Reader(probe.task, len(probe), probe.outputs.shape[1], measure)
    try:
        with raised_by_workers():
            found = (
                scored.select(PART, COPY, ROW, *kept)
                .repartition(min(parts, 2 * parallel), PART)
                .mapInArrow(reader, "part int, result binary")
                .toArrow()
            )
    finally:
        sent.unpersist()
    results = zip(*(column.to_pylist() for column in found.columns), strict=True)
    return [pickle.loads(result) for _, result in sorted(results)]


def _scored_here(
    probe: Probe, copies: Sequence[Copy], measure: Callable[[int, Floats], Any]
) -> list[Any] | None:
    """As `score_copies`, in this process; None for a model that takes Spark."""
    if probe.model.transform_arrow(probe.table.slice(0, 0)) is None:
        return None
    width, together = probe.outputs.shape[1], max(1, BLOCK // len(probe))

    def scores(some: Sequence[Copy]) -> Floats:
        made = pa.concat_tables([copy.of(probe.table) for copy in some])
        found = outputs_of(probe.model.transform_arrow(made), probe.task, width)
        _refuse_gaps(found)
        return found.reshape(len(some), len(probe), width)

    blocks = (copies[at : at + together] for at in range(0, len(copies), together))
    found = np.concatenate([scores(some) for some in blocks])
    parts = np.array([copy.part for copy in copies])
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda part: measure(part, found[parts == part]), np.unique(parts)))


def _refuse_gaps(scores: Floats) -> None:
    if not np.isfinite(scores).all():
        raise DataError("the model gives a changed row no score; are its columns coupled?")


@dataclass(frozen=True)
class _Maker:
    """What a task does with the numbers of copies."""

    copies: tuple[Copy, ...]
    sent: Broadcast[bytes]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = read_table(self.sent.value)
        rows = pa.array(np.arange(table.num_rows, dtype=np.int32))
        for batch in batches:
            for number in batch.column(0).to_pylist():
                copy = self.copies[number]
                made = copy.of(table)
                for name, value in ((PART, copy.part), (COPY, number)):
                    made = made.append_column(name, pa.array(np.full(len(made), value, np.int32)))
                yield from made.append_column(ROW, rows).to_batches(BLOCK)


@dataclass(frozen=True)
class _Reader:
    """What a task does with the scores of the parts that it got."""

    task: str
    rows: int
    outputs: int
    measure: Callable[[int, Floats], Any]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = [pa.Table.from_batches([batch]) for batch in batches if batch.num_rows]
        if not tables:
            return
        table = pa.concat_tables(tables)
        parts = table.column(PART).to_numpy()
        for part in np.unique(parts):
            mine = table.filter(pa.array(parts == part))
            scores = outputs_of(mine, self.task, self.outputs)
            _refuse_gaps(scores)
            _, copies = np.unique(mine.column(COPY).to_numpy(), return_inverse=True)
            found = np.empty((int(copies.max()) + 1, self.rows, scores.shape[1]))
            found[copies, mine.column(ROW).to_numpy()] = scores
            # Our own bytes between our own processes of one job.
            result = pickle.dumps(self.measure(int(part), found), protocol=5)
            yield pa.record_batch(
                [pa.array([part], pa.int32()), pa.array([result], pa.binary())], ["part", "result"]
            )


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def read_table(content: bytes) -> pa.Table:
    """The table of Arrow's stream."""
    return pa.ipc.open_stream(pa.BufferReader(content)).read_all().combine_chunks()
