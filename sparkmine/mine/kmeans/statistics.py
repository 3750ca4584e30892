"""What k-means asks of the rows: sums by nearest centre, and rows drawn by their distance.

Both work on blocks of float32 that stay in a core's cache: |x - c|² - |x|² = |c|² - 2 x·c is one
product of BLAS-3, [x, 1] times [-2 c, |c|²]. Sums are float64. What is asked of blocks in memory
and of tasks of the statistics engine is the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sparkmine.mine.kmeans.space import Array, Space, exponential, row_ids
from sparkmine.stats.base import Stat

# Rows that are worked on at once; in memory, a thread's piece of work.
PIECE = 1 << 16
# Scores of a block: 1 MB, half of a usual core's second cache.
_SCORES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class BlockStat(Stat):
    """A stat over rows of a space, compared by the digest of all that it carries."""

    space: Space = field(compare=False, repr=False)
    digest: str = field(init=False)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.space.names

    def update(self, state: Any, arrays: list[pa.Array]) -> Any:
        for rows in self.space.blocks(arrays, PIECE):
            state = self.merge(state, self.of(rows))
        return state

    @abstractmethod
    def of(self, rows: Array) -> Any:
        """The state of rows [n, d] of float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sums:
    """Of the rows that are nearest to each centre: how many, their sums [k, d]; and the sum of
    the squares of all rows."""

    counts: Array
    sums: Array
    squares: float

    def inertia(self, centres: Array) -> float:
        """Sum of squared distances of the rows to their centres, in float64."""
        away = 2 * np.einsum("ij,ij->", centres, self.sums)
        own = self.counts @ np.einsum("ij,ij->i", centres, centres)
        return max(float(self.squares - away + own), 0.0)


@dataclass(frozen=True, kw_only=True)
class Nearest(BlockStat):
    """Counts and sums of the rows by their nearest centre; ties go to the first.

    Attributes:
        centres: [k, d].
    """

    centres: Array = field(compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.space.digest(self.centres))

    def zero(self) -> Sums:
        return Sums(
            counts=np.zeros(len(self.centres), np.int64),
            sums=np.zeros(self.centres.shape),
            squares=0.0,
        )

    def of(self, rows: Array) -> Sums:
        from scipy import sparse  # slow to import

        counts, sums, squares = np.zeros(len(self.centres), np.int64), 0.0, 0.0
        for begin, labels, _ in _nearest(rows, self.centres, distances=False):
            exact = rows[begin : begin + len(labels)].astype(np.float64)
            places = np.arange(len(labels) + 1, dtype=np.int32)
            # [k, n] with a one in each column: its product adds every row to its centre's sum.
            chosen = sparse.csc_matrix(
                (np.ones(len(labels)), labels.astype(np.int32), places),
                shape=(len(self.centres), len(labels)),
            )
            sums = sums + chosen @ exact
            counts += np.bincount(labels, minlength=len(counts))
            flat = exact.reshape(-1)
            squares += float(flat @ flat)
        return Sums(counts=counts, sums=np.asarray(sums), squares=squares)

    def merge(self, a: Sums, b: Sums) -> Sums:
        return Sums(counts=a.counts + b.counts, sums=a.sums + b.sums, squares=a.squares + b.squares)


@dataclass(frozen=True, eq=False, kw_only=True)
class Drawn:
    """Different rows [n, d] with their ids [n], those with the smallest keys [n] first."""

    keys: Array
    ids: Array
    rows: Array

    def first(self, count: int) -> Drawn:
        """The `count` different rows with the smallest keys."""
        order = np.lexsort((self.ids, self.keys))
        kept = order[np.sort(np.unique(self.ids[order], return_index=True)[1])[:count]]
        return Drawn(keys=self.keys[kept], ids=self.ids[kept], rows=self.rows[kept])


@dataclass(frozen=True, kw_only=True)
class Draw(BlockStat):
    """Some different rows, drawn by chance or, without a seed, those farthest from the centres.

    With centres the chance is proportional to the squared distance, without any it is the same for
    every row. It is a race (Efraimidis and Spirakis 2006): each row gets an exponential variate
    over its weight, made of the seed and its own values, and the smallest win. So the result is
    a set that no order or partitioning of the rows changes, and states are merged by sorting.
    """

    count: int
    centres: Array = field(compare=False, repr=False)
    seed: int | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", self.space.digest(self.centres))

    def zero(self) -> Drawn:
        return Drawn(
            keys=np.zeros(0),
            ids=np.zeros(0, np.uint64),
            rows=np.zeros((0, len(self.space.shift)), np.float32),
        )

    def of(self, rows: Array) -> Drawn:
        if not len(rows):
            return self.zero()
        ids = row_ids(rows)
        labels = np.zeros(len(rows), np.int64)
        weights = np.ones(len(rows))
        if len(self.centres):
            for begin, nearest, scores in _nearest(rows, self.centres, distances=True):
                block = rows[begin : begin + len(nearest)]
                labels[begin : begin + len(nearest)] = nearest
                squares = np.einsum("ij,ij->i", block, block)
                weights[begin : begin + len(nearest)] = np.maximum(squares + scores, 1e-30)
        keys = self._keys(ids, weights)
        kept = np.arange(len(rows))
        if len(rows) > 4 * self.count:
            kept = np.argpartition(keys, 4 * self.count)[: 4 * self.count]
            if len(np.unique(ids[kept])) < self.count:  # the same rows again and again
                kept = np.unique(ids, return_index=True)[1]
                kept = kept[np.argsort(keys[kept])[: 4 * self.count]]
        if len(self.centres):
            # Exactly: the product's rounding must not make a copy of a centre look like a new row.
            away = rows[kept].astype(np.float64) - self.centres[labels[kept]]
            weights = np.einsum("ij,ij->i", away, away)
            # A centre is a row that was rounded, by as much as a float32 is.
            kept, weights = kept[weights > 0], weights[weights > 0]
            keys = self._keys(ids[kept], weights)
        else:
            keys = keys[kept]
        return Drawn(keys=keys, ids=ids[kept], rows=rows[kept]).first(self.count)

    def _keys(self, ids: Array, weights: Array) -> Array:
        return -weights if self.seed is None else exponential(ids, self.seed) / weights

    def merge(self, a: Drawn, b: Drawn) -> Drawn:
        if not len(a.keys) or not len(b.keys):
            return a if len(a.keys) else b
        pairs = ((a.keys, b.keys), (a.ids, b.ids), (a.rows, b.rows))
        keys, ids, rows = (np.concatenate(pair) for pair in pairs)
        return Drawn(keys=keys, ids=ids, rows=rows).first(self.count)


def _nearest(
    rows: Array, centres: Array, *, distances: bool
) -> Iterator[tuple[int, Array, Array | None]]:
    """Block by block: its first row, the nearest centre of each, and |x - c|² - |x|² if wanted."""
    size, (k, d) = len(rows), centres.shape
    step = min(max(_SCORES // k, 256), max(size, 1))
    factors = np.empty((d + 1, k), np.float32)
    factors[:d] = -2 * centres.T
    factors[d] = np.einsum("ij,ij->i", centres, centres)
    points = np.ones((step, d + 1), np.float32)
    scores = np.empty((step, k), np.float32)
    for begin in range(0, size, step):
        count = min(step, size - begin)
        points[:count, :d] = rows[begin : begin + count]
        found = np.matmul(points[:count], factors, out=scores[:count])
        labels = found.argmin(axis=1)
        yield begin, labels, found[np.arange(count), labels] if distances else None
