"""Three ways over the rows of a fit, which answer the same statistics.

What fits the driver is read once and kept as float32, and threads work on its blocks without any
Spark job. A larger snapshot is scanned by one job a round, straight from its files. The rows of a
larger DataFrame are persisted and scanned by the same job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from sparkmine.errors import ConfigError, raised_by_workers
from sparkmine.expr import col
from sparkmine.lake import Snapshot
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.mine.kmeans.space import Array, Space
from sparkmine.mine.kmeans.statistics import PIECE, BlockStat
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.gram import Gram
from sparkmine.stats.here import threads
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# As float32: of a snapshot, whose files the driver reads itself, and of a DataFrame, which Spark
# brings to it. While a snapshot is read its columns need up to twice as much besides.
SNAPSHOT_BYTES = 1 << 30
FRAME_BYTES = 1 << 26

_log = logging.getLogger(__name__)


class Rows(Protocol):
    """The rows of a fit in their space."""

    @property
    def space(self) -> Space:
        """Where they are."""

    def run(self, stats: Sequence[BlockStat]) -> list[Any]:
        """The answers, in the order of the stats, by one pass."""


class Held:
    """Rows in memory."""

    def __init__(self, space: Space, blocks: list[Array]) -> None:
        self.space = space
        self.blocks = blocks

    def run(self, stats: Sequence[BlockStat]) -> list[Any]:
        """The states of the blocks are merged in their order, whichever thread was faster."""
        return [
            stat.answer(reduce(stat.merge, _in_threads(stat.of, self.blocks), stat.zero()))
            for stat in stats
        ]


class Scanned:
    """Rows that tasks read, in each round anew."""

    def __init__(self, space: Space, engine: StatEngine) -> None:
        self.space = space
        self._engine = engine

    def run(self, stats: Sequence[BlockStat]) -> list[Any]:
        inputs = tuple(col(name) for name in self.space.names)
        return self._engine.run([Request(stat, inputs) for stat in stats])


@contextmanager
def opened(
    data: DataFrame | Snapshot, features: Sequence[str], spark: SparkSession | None
) -> Iterator[Rows]:
    """The rows of some columns, in the way that suits their size.

    Raises:
        ConfigError: no features, one named twice, or one that is not there.
        DataError: no rows; null, NaN or infinite values, named with their counts.
    """
    _check(data, features)
    if isinstance(data, Snapshot):
        held = _read(data, features)
        if held is not None:
            yield held
            return
        engine = StatEngine(data, _session(spark))
        with raised_by_workers():
            yield Scanned(_space(engine, features), engine)
        return
    kept = data.select(*(f"`{name}`" for name in features)).persist()
    try:
        with raised_by_workers():
            engine = StatEngine(kept, kept.sparkSession)
            space = _space(engine, features)
            if _bytes(space) > FRAME_BYTES:
                yield Scanned(space, engine)
            else:
                yield Held(space, _blocks(space, [kept.toArrow()]))
    finally:
        kept.unpersist()


def _check(data: DataFrame | Snapshot, features: Sequence[str]) -> None:
    present = data.schema.names
    missing = sorted(set(features) - set(present))
    twice = sorted({name for name in features if list(features).count(name) > 1})
    if not features:
        raise ConfigError("no features are named to cluster by")
    if missing:
        raise ConfigError(f"no column {', '.join(missing)}; the columns are {present}")
    if twice:
        raise ConfigError(f"feature {', '.join(twice)} is named twice")


def _session(spark: SparkSession | None) -> SparkSession:
    from pyspark.sql import SparkSession

    session = spark or SparkSession.getActiveSession()
    if session is None:
        raise ConfigError("scanning a snapshot needs a Spark session: open one, or pass spark=")
    return session


def _space(engine: StatEngine, features: Sequence[str]) -> Space:
    names = tuple(features)
    request = Request(Gram(names, largest=0), tuple(col(name) for name in names))
    return Space.of(names, engine.run([request])[0])


def _bytes(space: Space) -> int:
    return 4 * space.rows * sum(space.widths)


def _read(snapshot: Snapshot, features: Sequence[str]) -> Held | None:
    """The rows of a snapshot whose files this process may read, if they fit it."""
    try:
        scan = Scan.of(snapshot, features)
    except DirectScanRefused as refused:
        _log.info("k-means reads %s by Spark: %s", snapshot.path, refused.reason)
        return None
    groups = scan.blocks()
    # Repeated values take few bytes in a file, lists have many values a row.
    values = max(4 * len(features) * sum(g.rows for g in groups), sum(g.bytes for g in groups) // 2)
    if values > SNAPSHOT_BYTES:
        return None
    gram = Gram(tuple(features), largest=0)

    def read(number: int) -> tuple[list[pa.Table], Any]:
        tables, state = [], gram.zero()
        for table in scan.read_many([groups[number]]):
            tables.append(table)
            state = gram.update(state, _arrays(table, features))
        return tables, state

    found = list(_in_threads(read, range(len(groups))))
    state = reduce(gram.merge, (state for _, state in found), gram.zero())
    space = Space.of(features, gram.answer(state))
    tables = [table for tables, _ in found for table in tables]
    del found
    return Held(space, _blocks(space, tables))


def _blocks(space: Space, tables: list[pa.Table]) -> list[Array]:
    """The rows of Arrow tables in the space; empties the list, so that memory is given back."""
    waiting = tables[::-1]
    tables.clear()

    def converted(_: int) -> list[Array]:
        table = waiting.pop()
        return space.blocks(_arrays(table, space.names), PIECE)

    # One thread: the order of the pieces is that of the rows, and copying is bound by memory.
    return [block for number in range(len(waiting)) for block in converted(number)]


def _arrays(table: pa.Table, names: Sequence[str]) -> list[pa.Array]:
    columns = [table.column(name).combine_chunks() for name in names]
    return [pa.concat_arrays(c.chunks) if isinstance(c, pa.ChunkedArray) else c for c in columns]


def _in_threads(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Results in the order of the items; BLAS itself uses one thread in each of ours."""
    limited = _libraries().limit(limits=1, user_api="blas")
    with limited, ThreadPoolExecutor(threads()) as pool:
        yield from pool.map(function, items)


@cache
def _libraries() -> Any:
    """The loaded libraries that have threads of their own; looking for them takes a while."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
