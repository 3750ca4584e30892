"""Quantiles by counting over order-preserving float bits.

A float64, read as an integer with its sign handled, keeps its order. Its first 22 bits (sign,
exponent, 10 of the mantissa) name a bin at most 0.1 % wide; each bin keeps its count, minimum
and maximum. Counting is commutative and has no random bits, so any partitioning and any rerun
gives the same answer. Where one bin holds more than 0.5 % of the rows and more than one value,
the bin is split by 10 more bits in a further scan, so the rank error is at most 0.5 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkmine.stats.base import Stat
from sparkmine.stats.moments import finite_values

FIRST_BITS = 22
MORE_BITS = 10
RANK_ERROR = 0.005

_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins in ascending order: `keys` uint64 [b], `counts` int64 [b], `low`, `high` float64 [b]."""

    keys: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> float | None:
        """The smallest value with at least `share` of the rows at or below it; None if no rows.

        Exact where a bin holds one value, else interpolated between the bin's extremes.
        """
        if not len(self.counts):
            return None
        target = max(share * self.count, 1.0)
        ends = np.cumsum(self.counts)
        index = min(int(np.searchsorted(ends, target, side="left")), len(ends) - 1)
        before = float(ends[index] - self.counts[index])
        inside = min(max((target - before) / float(self.counts[index]), 0.0), 1.0)
        low, high = float(self.low[index]), float(self.high[index])
        return low + (high - low) * inside

    def quantiles(self, *shares: float) -> list[float | None]:
        return [self.quantile(share) for share in shares]

    def buckets(self, number: int) -> list[float]:
        """Up to `number` - 1 ascending, distinct inner edges of buckets with equal counts."""
        inner = [self.quantile(i / number) for i in range(1, number)]
        return sorted({edge for edge in inner if edge is not None})


@dataclass(frozen=True)
class Sketch(Stat):
    """The distribution of one numeric column over finite values.

    Attributes:
        splits: For each further level, the left-aligned keys of the bins that are split there.
    """

    column: str
    splits: tuple[tuple[int, ...], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> Bins:
        empty = np.zeros(0)
        return Bins(empty.astype(np.uint64), empty.astype(np.int64), empty, empty)

    def update(self, state: Bins, arrays: list[pa.Array]) -> Bins:
        numbers = np.sort(finite_values(arrays[0]) + 0.0)  # + 0.0 makes -0.0 a 0.0
        if not len(numbers):
            return state
        keys = self._keys(numbers)
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        ends = np.append(starts[1:], len(keys))
        found = Bins(keys[starts], ends - starts, numbers[starts], numbers[ends - 1])
        return self.merge(state, found)

    def _keys(self, numbers: np.ndarray) -> np.ndarray:
        """Left-aligned bin keys of sorted numbers; ascending like them."""
        bits = numbers.view(np.uint64)
        ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
        keys = _prefix(ordered, FIRST_BITS)
        for level, heavy in enumerate(self.splits, start=1):
            deeper = np.isin(keys, np.asarray(heavy, np.uint64))
            keys = np.where(deeper, _prefix(ordered, FIRST_BITS + MORE_BITS * level), keys)
        return keys

    def merge(self, a: Bins, b: Bins) -> Bins:
        if not len(a.keys) or not len(b.keys):
            return a if len(a.keys) else b
        keys, where = np.unique(np.concatenate([a.keys, b.keys]), return_inverse=True)
        counts = np.zeros(len(keys), np.int64)
        np.add.at(counts, where, np.concatenate([a.counts, b.counts]))
        low, high = np.full(len(keys), np.inf), np.full(len(keys), -np.inf)
        np.minimum.at(low, where, np.concatenate([a.low, b.low]))
        np.maximum.at(high, where, np.concatenate([a.high, b.high]))
        return Bins(keys, counts, low, high)

    def refined(self, answer: Bins) -> Sketch | None:
        wide = (answer.counts > RANK_ERROR * answer.count) & (answer.low < answer.high)
        depth = FIRST_BITS + MORE_BITS * len(self.splits)
        # Bins that were not split last time are light, so the wide ones are all at this depth.
        if not wide.any() or depth >= 64:
            return None
        return Sketch(self.column, (*self.splits, tuple(int(key) for key in answer.keys[wide])))


def _prefix(ordered: np.ndarray, bits: int) -> np.ndarray:
    drop = np.uint64(max(64 - bits, 0))
    return (ordered >> drop) << drop
