"""What the tasks of partitioned itemset mining do with their part of the baskets.

Functions for `mapInArrow` over blocks of baskets (`baskets.py`), as frozen picklable values: mine
a part, count candidates in a part. Itemsets travel as keys, the little-endian int32 codes as bytes;
a code is a place in `items`, which ascend by frequency.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.mine.baskets import read_blocks
from sparkmine.mine.bounded import GivenUp, bounded
from sparkmine.mine.eclat import Baskets, by_length, count

if TYPE_CHECKING:
    from sparkmine.mine.baskets import Batches
    from sparkmine.mine.eclat import Array

MINED = "key binary, count long, slack long"
COUNTED = "candidate long, count long"

# Keys that are no itemset. Every part reports itself under PART: its baskets, and the slack an
# itemset has that the part did not find. A part with too many itemsets says so under TOO_MANY and
# its own number: how many it expects, and a threshold that fits, in billionths of its baskets.
PART = b""
TOO_MANY = b"!"
BILLION = 10**9
_LARGEST = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Miner:
    """Itemsets of two items and more that are frequent in a part, with their counts there.

    An itemset in `minimum` of all `total` baskets is, in at least one part, in the same share
    of that part's baskets, rounded up: the part's threshold. One that a part does not find is
    in at most threshold - 1 of its baskets: the part's slack.
    """

    items: tuple[str, ...]
    minimum: int
    total: int
    max_length: int | None
    max_itemsets: int

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        codes, lengths, size = _read(batches, self.items)
        if size == 0:
            return
        threshold = max(1, -(-self.minimum * size // self.total))
        baskets = Baskets.of(codes, lengths, len(self.items))
        yield _mined(pa.array([PART], pa.binary()), np.array([size]), threshold - 1)
        found = bounded(
            baskets, len(self.items), threshold, self.max_length, self.max_itemsets, size
        )
        if isinstance(found, GivenUp):
            expected = np.array([int(min(found.expected, _LARGEST))])
            share = -(-(found.fits or size) * BILLION // size)
            yield _mined(pa.array([TOO_MANY + _number()], pa.binary()), expected, share)
            return
        for itemsets, counts in by_length(found).values():
            yield _mined(pack(itemsets), counts, threshold - 1)


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Baskets of a part that hold each candidate; a candidate is a place in `keys`."""

    items: tuple[str, ...]
    keys: pa.Array

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        codes, lengths, size = _read(batches, self.items)
        if size == 0:
            return
        baskets = Baskets.of(codes, lengths, len(self.items))
        for places, itemsets in unpack(self.keys):
            counts = count(baskets, itemsets, len(self.items))
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


def _read(batches: Batches, items: tuple[str, ...]) -> tuple[Array, Array, int]:
    """The part's baskets over `items`, and the number of all of them."""
    values = pa.array(items, pa.string())
    codes: list[Array] = [np.zeros(0, np.int32)]
    lengths: list[Array] = [np.zeros(0, np.int64)]
    size = 0
    for block in read_blocks(batches):
        own, length = block.of(values)
        codes.append(own)
        lengths.append(length)
        size += len(block.lengths)
    return np.concatenate(codes), np.concatenate(lengths), size


def _number() -> bytes:
    """Two bytes that differ between the parts, or nearly so; a key has less than four."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return (context.partitionId() % (1 << 16)).to_bytes(2, "little") if context else b""


def _mined(keys: pa.Array, counts: Array, slack: int) -> pa.RecordBatch:
    columns = [keys, pa.array(counts, pa.int64()), pa.array(np.full(len(keys), slack), pa.int64())]
    return pa.record_batch(columns, names=["key", "count", "slack"])
