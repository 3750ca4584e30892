"""Rows of basket and item become baskets of item codes, without moving the rows.

Each task encodes the baskets and items that it reads by Arrow's dictionaries, removes repeats with
one sort of integers, and hands on pieces: what it saw of the baskets of one bucket, by the hash of
the basket, in a few buffers. The pieces are cached. All pieces of a bucket together are its
baskets, complete; they meet on the driver when all are small, otherwise in one shuffle.

Rows with a null basket or a null item are ignored (and their number logged), so a basket that has
nothing but null items is not one of the baskets that supports refer to. An item that is repeated
in a basket counts once. Items are compared as strings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.lake.inputs import as_frame, need_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.mine.eclat import Array

    Batches: TypeAlias = Iterable[pa.RecordBatch]

# Of the baskets of a bucket, what one task has seen: the baskets' values (an Arrow stream), the
# items' texts, the items of each basket as places in `names`, and how many each has.
PIECES = "bucket int, ids binary, names array<string>, codes binary, lengths binary, ignored long"
# Whole baskets: as above, and how many of these baskets hold each item.
BLOCKS = "names array<string>, counts array<long>, codes binary, lengths binary"
BLOCK_BASKETS = 1 << 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CodedBaskets:
    """Baskets over the items `names`: places in `names`, basket after basket, each once in a
    basket, and the number of items in each basket, which is one or more."""

    names: pa.Array
    codes: Array
    lengths: Array

    @cached_property
    def counts(self) -> Array:
        """How many baskets hold each item."""
        return np.bincount(self.codes, minlength=len(self.names))

    def of(self, items: pa.Array) -> tuple[Array, Array]:
        """The baskets of two of `items` and more, since others hold no pair: their codes, which
        are places in `items`, ascending in each basket, and the number of codes in each."""
        if not len(items):
            return np.zeros(0, np.int32), np.zeros(0, np.int64)
        places = pc.fill_null(pc.index_in(self.names, value_set=items), -1).to_numpy()
        codes = places[self.codes]
        homes = np.repeat(np.arange(len(self.lengths)), self.lengths)
        known = codes >= 0
        homes, codes = np.divmod(np.sort(homes[known] * len(items) + codes[known]), len(items))
        lengths = np.bincount(homes, minlength=len(self.lengths))
        paired = np.repeat(lengths > 1, lengths)
        return codes[paired].astype(np.int32), lengths[lengths > 1]


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Cached pieces of the baskets of a table.

    Fields:
        frame: rows of `PIECES`.
        entries: items of baskets in them, repeats between pieces included.
        bytes: their size.
        buckets: the number of buckets.
    """

    frame: DataFrame
    entries: int
    bytes: int
    buckets: int

    def collected(self) -> CodedBaskets:
        """All baskets, here."""
        return merged(self.frame.toArrow().to_batches())

    def blocks(self) -> DataFrame:
        """Rows of `BLOCKS`, a partition a bucket."""
        from pyspark.sql import functions as F

        return self.frame.repartitionById(self.buckets, F.col("bucket")).mapInArrow(_merge, BLOCKS)


@contextmanager
def encoded(
    df: DataFrame | Snapshot,
    basket: str,
    item: str,
    *,
    buckets: int | None = None,
    spark: SparkSession | None = None,
) -> Iterator[Pieces]:
    """The baskets of `df` as pieces, cached while the block runs."""
    from pyspark.sql import functions as F

    rows = as_frame(df, spark)
    need_columns(rows, [basket, item])
    number = buckets or int(rows.sparkSession.conf.get("spark.sql.shuffle.partitions") or 200)
    pairs = rows.select(
        comparable(rows, basket).alias("basket"),
        F.col(item).cast("string").alias("item"),
        F.pmod(F.xxhash64(basket), F.lit(number)).cast("int").alias("bucket"),
    )
    frame = pairs.mapInArrow(encode, PIECES).persist()
    try:
        sizes = [F.length(name) for name in ("codes", "ids", "lengths")]
        row = frame.agg(
            F.sum(sizes[0] / 4).cast("long"), F.sum(sum(sizes[1:], sizes[0])), F.sum("ignored")
        ).first()
        entries, size, ignored = (value or 0 for value in row or (0, 0, 0))
        warn_of_nulls(ignored)
        yield Pieces(frame=frame, entries=entries, bytes=size, buckets=number)
    finally:
        frame.unpersist()


def warn_of_nulls(rows: int) -> None:
    if rows:
        logger.warning("%d rows with a null basket or item are ignored", rows)


def comparable(rows: DataFrame, basket: str) -> Column:
    """The column, as a type that Arrow can tell apart: structs and arrays as their JSON."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import AtomicType

    if isinstance(rows.schema[basket].dataType, AtomicType):
        return F.col(basket)
    text = F.to_json(F.struct(basket), {"ignoreNullFields": "false"})
    return F.when(F.col(basket).isNotNull(), text)


def encode(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Rows [basket, item, bucket] of a task as pieces."""
    columns: list[tuple[pa.Array, pa.Array, Array]] = []
    ignored = 0
    for batch in batches:
        kept = _known(batch)
        ignored += batch.num_rows - kept.num_rows
        # The texts of the items are dropped here: a task holds some bytes for each of its rows.
        items = kept.column(1).dictionary_encode()
        columns.append((kept.column(0), items, kept.column(2).to_numpy()))
    if not columns:
        return
    ids, homes = _dictionary([basket for basket, _, _ in columns])
    names, codes = _unified([items for _, items, _ in columns])
    bucket = np.zeros(len(ids), np.int32)
    bucket[homes] = np.concatenate([buckets for _, _, buckets in columns])
    order = np.argsort(bucket, kind="stable")
    ranks = np.empty(len(ids), np.int64)
    ranks[order] = np.arange(len(ids))
    codes, lengths = _distinct(ranks[homes], codes, len(names), len(ids))
    ids, bucket = ids.take(pa.array(order)), bucket[order]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    # Where a bucket begins and the last one ends; a task without baskets has one piece of nothing.
    edges = np.flatnonzero(np.diff(bucket, prepend=-1, append=-1)) if len(ids) else [0, 0]
    for begin, end in pairwise(edges):
        used, places = _used(codes[ends[begin] : ends[end]], len(names))
        yield pa.record_batch(
            [
                pa.array([int(bucket[begin]) if len(ids) else 0], pa.int32()),
                pa.array([_stream(ids[begin:end])], pa.binary()),
                pa.ListArray.from_arrays([0, len(used)], names.take(pa.array(used))),
                _buffer(places),
                _buffer(lengths[begin:end]),
                pa.array([0 if begin else ignored], pa.int64()),
            ],
            names=["bucket", "ids", "names", "codes", "lengths", "ignored"],
        )


def merged(batches: Batches) -> CodedBaskets:
    """The baskets of all pieces, which are all pieces of their buckets."""
    rows = [[column[i] for column in b.columns] for b in batches for i in range(b.num_rows)]
    if not rows:
        return CodedBaskets(
            names=pa.array([], pa.string()), codes=np.zeros(0, np.int64), lengths=np.zeros(0, int)
        )
    ids, homes = _dictionary([_values(row[1]) for row in rows])
    names, places = _dictionary([row[2].values for row in rows])
    starts = np.cumsum([0, *(len(row[2]) for row in rows)])
    codes = [
        places[start + np.frombuffer(row[3].as_buffer(), "<i4")]
        for start, row in zip(starts, rows, strict=False)
    ]
    lengths = np.concatenate([np.frombuffer(row[4].as_buffer(), "<i4") for row in rows])
    if len(ids) == len(homes):  # no basket is in two pieces, so nothing is repeated
        return CodedBaskets(names=names, codes=np.concatenate(codes), lengths=lengths)
    found, lengths = _distinct(
        np.repeat(homes, lengths), np.concatenate(codes), len(names), len(ids)
    )
    return CodedBaskets(names=names, codes=found, lengths=lengths)


def _merge(batches: Batches) -> Iterator[pa.RecordBatch]:
    """The pieces of a bucket as blocks."""
    baskets = merged(batches)
    ends = np.concatenate([[0], np.cumsum(baskets.lengths)])
    for begin in range(0, len(baskets.lengths), BLOCK_BASKETS):
        end = min(begin + BLOCK_BASKETS, len(baskets.lengths))
        used, places = _used(baskets.codes[ends[begin] : ends[end]], len(baskets.names))
        counts = pa.array(np.bincount(places, minlength=len(used)), pa.int64())
        yield pa.record_batch(
            [
                pa.ListArray.from_arrays([0, len(used)], baskets.names.take(pa.array(used))),
                pa.ListArray.from_arrays([0, len(used)], counts),
                _buffer(places),
                _buffer(baskets.lengths[begin:end]),
            ],
            names=["names", "counts", "codes", "lengths"],
        )


def read_blocks(batches: Batches) -> Iterator[CodedBaskets]:
    """The blocks of a task."""
    for batch in batches:
        for row in range(batch.num_rows):
            names, _, codes, lengths = (column[row] for column in batch.columns)
            yield CodedBaskets(
                names=names.values,
                codes=np.frombuffer(codes.as_buffer(), "<i4"),
                lengths=np.frombuffer(lengths.as_buffer(), "<i4"),
            )


def _known(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that have a basket and an item; most batches lack none."""
    basket, item = batch.column(0), batch.column(1)
    if not basket.null_count and not item.null_count:
        return batch
    return batch.filter(pc.and_(pc.is_valid(basket), pc.is_valid(item)))


def _used(codes: Array, names: int) -> tuple[Array, Array]:
    """Which of the names occur, and for each code its place among these."""
    if names > len(codes):
        used, places = np.unique(codes, return_inverse=True)
        return used, places
    # A table of all names takes a tenth of the time that a sort does.
    used = np.flatnonzero(np.bincount(codes, minlength=names))
    table = np.empty(names, np.int32)
    table[used] = np.arange(len(used), dtype=np.int32)
    return used, table[codes]


def _dictionary(arrays: list[pa.Array]) -> tuple[pa.Array, Array]:
    """The distinct values of all arrays, and where each value is among them."""
    found = pa.chunked_array(arrays).combine_chunks().dictionary_encode()
    return found.dictionary, found.indices.to_numpy()


def _unified(arrays: list[pa.Array]) -> tuple[pa.Array, Array]:
    """The same of arrays that are dictionaries already."""
    found = pa.chunked_array(arrays).unify_dictionaries()
    return found.chunk(0).dictionary, np.concatenate([c.indices.to_numpy() for c in found.chunks])


def _distinct(homes: Array, codes: Array, items: int, baskets: int) -> tuple[Array, Array]:
    """Codes ordered by basket, without repeats, and their number in each basket."""
    pairs = np.unique(homes.astype(np.int64) * max(1, items) + codes)
    homes, codes = np.divmod(pairs, max(1, items))
    return codes, np.bincount(homes, minlength=baskets)


def _buffer(values: Array) -> pa.Array:
    return pa.array([values.astype("<i4").tobytes()], pa.binary())


def _stream(values: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"id": values})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _values(stream: pa.Scalar) -> pa.Array:
    table = pa.ipc.open_stream(stream.as_buffer()).read_all()
    return table.column("id").combine_chunks()
