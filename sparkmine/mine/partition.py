"""What the tasks of partitioned itemset mining do with their part of the baskets.

Functions for `mapInArrow`, as frozen picklable values: encode baskets, mine a part, count
candidates in a part. Itemsets travel as keys, the little-endian int32 codes as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.mine.eclat import Baskets, by_length, count, frequent

if TYPE_CHECKING:
    from sparkmine.mine.eclat import Array

ENCODED = "codes array<int>"
MINED = "key binary, count long, slack long"
COUNTED = "candidate long, count long"

# Keys that are no itemset. Every part reports itself under PART: its baskets, and the slack an
# itemset has that the part did not find. A part that found too many says so under TOO_MANY.
PART = b""
TOO_MANY = b"!"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Baskets of texts to ascending codes of the frequent items; a code is a place in `items`."""

    items: tuple[str, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        values = pa.array(self.items, pa.string())
        for batch in batches:
            lists = batch.column(0)
            codes = pc.index_in(lists.flatten(), value_set=values)
            known = pc.is_valid(codes)
            codes = codes.filter(known).to_numpy(zero_copy_only=False)
            parents = pc.list_parent_indices(lists).filter(known).to_numpy(zero_copy_only=False)
            codes = codes[np.lexsort((codes, parents))]
            lengths = np.bincount(parents, minlength=len(lists))
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            encoded = pa.ListArray.from_arrays(pa.array(offsets), pa.array(codes, pa.int32()))
            yield pa.record_batch([encoded], names=["codes"])


@dataclass(frozen=True, kw_only=True)
class Miner:
    """Itemsets of two items and more that are frequent in a part, with their counts there.

    An itemset in `minimum` of all `total` baskets is, in at least one part, in the same share
    of that part's baskets, rounded up: the part's threshold. One that a part does not find is
    in at most threshold - 1 of its baskets: the part's slack.
    """

    items: int
    minimum: int
    total: int
    max_length: int | None
    max_itemsets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        baskets, size = _read(batches, self.items)
        if size == 0:
            return
        threshold = max(1, -(-self.minimum * size // self.total))
        yield _mined(pa.array([PART], pa.binary()), np.array([size]), threshold - 1)
        found = 0
        blocks: list[tuple[Array, Array]] = []
        for codes, counts in frequent(baskets, self.items, threshold, self.max_length):
            found += len(codes)
            if found > self.max_itemsets:
                yield _mined(pa.array([TOO_MANY], pa.binary()), np.array([found]), 0)
                return
            blocks.append((codes, counts))
        for codes, counts in by_length(blocks).values():
            yield _mined(pack(codes), counts, threshold - 1)


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Baskets of a part that hold each candidate; a candidate is a place in `keys`."""

    items: int
    keys: pa.Array

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        baskets, size = _read(batches, self.items)
        if size == 0:
            return
        for places, codes in unpack(self.keys):
            counts = count(baskets, codes, self.items)
            yield pa.record_batch(
                [pa.array(places, pa.int64()), pa.array(counts, pa.int64())],
                names=["candidate", "count"],
            )


def pack(codes: Array) -> pa.Array:
    """Codes [n, k] as n keys."""
    rows, length = codes.shape
    data = np.ascontiguousarray(codes, dtype="<i4")
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * length), rows, [None, pa.py_buffer(data)]
    ).cast(pa.binary())


def unpack(keys: pa.Array) -> Iterator[tuple[Array, Array]]:
    """Keys, by length k of their itemsets: their places [n] in `keys`, and codes int32 [n, k]."""
    sizes = pc.binary_length(keys).to_numpy(zero_copy_only=False)
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size)
        fixed = keys.take(pa.array(places)).cast(pa.binary(int(size)))
        data = np.frombuffer(fixed.buffers()[1], dtype="<i4", count=len(places) * (size // 4))
        yield places, data.reshape(len(places), -1)


def bytes_per_task(counts: Array, parts: int) -> int:
    """Memory estimate for mining one of `parts`: the entries' index and the largest bit matrix.

    Args:
        counts: baskets of each frequent item, ascending.
    """
    extensions = np.arange(len(counts))[::-1]
    bits = int((counts * extensions).max(initial=0)) // 8
    index = 24 * int(counts.sum())
    return (bits + index) // parts


def _read(batches: Iterable[pa.RecordBatch], items: int) -> tuple[Baskets, int]:
    """The part's baskets of two codes and more (others hold no pair), and the number of all."""
    codes: list[Array] = []
    lengths: list[Array] = []
    size = 0
    for batch in batches:
        lists = batch.column(0)
        length = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        values = lists.flatten().to_numpy(zero_copy_only=False)
        size += len(length)
        codes.append(values[np.repeat(length > 1, length)])
        lengths.append(length[length > 1])
    empty = np.zeros(0, dtype=np.int32)
    return Baskets.of(
        np.concatenate([empty, *codes]), np.concatenate([empty, *lengths]), items
    ), size


def _mined(keys: pa.Array, counts: Array, slack: int) -> pa.RecordBatch:
    columns = [keys, pa.array(counts, pa.int64()), pa.array(np.full(len(keys), slack), pa.int64())]
    return pa.record_batch(columns, names=["key", "count", "slack"])
