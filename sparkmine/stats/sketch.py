"""Quantiles by counting over order-preserving float bits.

A float64, read as an integer with its sign handled, keeps its order. Its first 24 bits (sign,
exponent, 12 of the mantissa) name a bin at most 0.025 % wide; each bin keeps its count, minimum
and maximum. Counting is commutative and has no random bits, so any partitioning and any rerun
gives the same answer. Where one bin holds more than 0.5 % of the rows and more than one value,
the bin is split by 10 more bits in a further scan, so the rank error is at most 0.5 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa

from sparkmine.stats.base import ColumnStat
from sparkmine.stats.derive import Affine, Change, Fill
from sparkmine.stats.numbers import Columns, together

FIRST_BITS = 24
MORE_BITS = 10
RANK_ERROR = 0.005

_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins in ascending order: `keys` uint64 [b], `counts` int64 [b], `low`, `high` float64 [b].

    `missing` counts nulls and NaN, which are in no bin.
    """

    keys: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray
    missing: int = 0

    @cached_property
    def ends(self) -> np.ndarray:
        """Rows up to and with each bin, int64 [b]."""
        return np.cumsum(self.counts)

    @property
    def count(self) -> int:
        return int(self.ends[-1]) if len(self.counts) else 0

    def quantile(self, share: float) -> float | None:
        """The smallest value with at least `share` of the rows at or below it; None if no rows.

        Exact where a bin holds one value, else interpolated between the bin's extremes.
        """
        if not len(self.counts):
            return None
        target = max(share * self.count, 1.0)
        index = min(int(np.searchsorted(self.ends, target, side="left")), len(self.ends) - 1)
        before = float(self.ends[index] - self.counts[index])
        inside = min(max((target - before) / float(self.counts[index]), 0.0), 1.0)
        low, high = float(self.low[index]), float(self.high[index])
        return low + (high - low) * inside

    def quantiles(self, *shares: float) -> list[float | None]:
        return [self.quantile(share) for share in shares]

    def buckets(self, number: int) -> list[float]:
        """Up to `number` - 1 ascending, distinct inner edges of buckets with equal counts."""
        inner = [self.quantile(i / number) for i in range(1, number)]
        return sorted({edge for edge in inner if edge is not None})


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Bins of the blocks of one task, joined when those that wait are as many as the first's."""

    bins: tuple[Bins, ...]
    waiting: int = 0

    def and_also(self, bins: Bins) -> _Pieces:
        grown = _Pieces((*self.bins, bins), self.waiting + len(bins.keys))
        return _Pieces((grown.whole(),)) if grown.waiting > len(self.bins[0].keys) else grown

    def whole(self) -> Bins:
        return _joined(self.bins)


@dataclass(frozen=True)
class Sketch(ColumnStat):
    """The distribution of one numeric column over finite values.

    Attributes:
        splits: For each further level, the left-aligned keys of the bins that are split there.
    """

    splits: tuple[tuple[int, ...], ...] = ()

    def zero(self) -> Bins:
        empty = np.zeros(0)
        return Bins(empty.astype(np.uint64), empty.astype(np.int64), empty, empty)

    def update(self, state: Bins, arrays: list[pa.Array]) -> Bins:
        (updated,) = self.update_all([self], [state], [arrays])
        return self.settled(updated)

    @classmethod
    def update_all(
        cls, stats: Sequence[Self], states: Sequence[Any], arrays: Sequence[list[pa.Array]]
    ) -> list[_Pieces]:
        found: list[Bins] = []
        for group in together([columns[0] for columns in arrays]):
            found += cls._bins(stats[group.first :], group)
        return [
            (state if isinstance(state, _Pieces) else _Pieces((state,))).and_also(bins)
            for state, bins in zip(states, found, strict=True)
        ]

    @staticmethod
    def _bins(stats: Sequence[Sketch], group: Columns) -> list[Bins]:
        """The bins of each column of a group, by the stat of the column."""
        values, edges = group.values + 0.0, group.starts.tolist()  # + 0.0 makes -0.0 a 0.0
        keys = np.empty(len(values), np.uint64)
        for stat, begin, end in zip(stats, edges, edges[1:], strict=False):
            values[begin:end].sort()
            keys[begin:end] = stat._keys(values[begin:end])
        new = np.ones(len(keys), bool)
        new[1:] = keys[1:] != keys[:-1]
        new[group.starts[:-1][np.diff(group.starts) > 0]] = True
        starts = np.flatnonzero(new)
        ends = np.append(starts, len(keys))[1:]
        counts, low, high = ends - starts, values[starts], values[ends - 1]
        keys = keys[starts]
        cuts = np.searchsorted(starts, group.starts).tolist()
        found = []
        for part, begin, end in zip(group.parts, cuts, cuts[1:], strict=False):
            mine = slice(begin, end)
            missing = part.nulls + part.nans
            found.append(Bins(keys[mine], counts[mine], low[mine], high[mine], missing))
        return found

    def settled(self, state: Any) -> Bins:
        return state.whole() if isinstance(state, _Pieces) else state

    def _keys(self, values: np.ndarray) -> np.ndarray:
        """Left-aligned bin keys of sorted values; ascending like them."""
        bits = values.view(np.uint64)
        negative = int(np.searchsorted(values, 0.0))
        ordered = bits | _SIGN
        ordered[:negative] = ~bits[:negative]
        keys = _prefix(ordered, FIRST_BITS)
        for level, heavy in enumerate(self.splits, start=1):
            deeper = np.isin(keys, np.asarray(heavy, np.uint64))
            keys = np.where(deeper, _prefix(ordered, FIRST_BITS + MORE_BITS * level), keys)
        return keys

    def merge(self, a: Bins, b: Bins) -> Bins:
        return _joined((a, b))

    def changed(self, state: Bins, change: Change) -> Bins:
        match change:
            case Fill(value):
                return _filled(state, value)
            case Affine():
                low, high = change.of(state.low), change.of(state.high)
                if change.scale > 0:
                    return replace(state, low=low, high=high)
                return Bins(
                    state.keys[::-1], state.counts[::-1], high[::-1], low[::-1], state.missing
                )

    def refined(self, answer: Bins) -> Sketch | None:
        wide = (answer.counts > RANK_ERROR * answer.count) & (answer.low < answer.high)
        depth = FIRST_BITS + MORE_BITS * len(self.splits)
        # Bins that were not split last time are light, so the wide ones are all at this depth.
        if not wide.any() or depth >= 64:
            return None
        return Sketch(self.column, (*self.splits, tuple(int(key) for key in answer.keys[wide])))


def _joined(pieces: Sequence[Bins]) -> Bins:
    """All bins as one."""
    missing = sum(piece.missing for piece in pieces)
    some = [piece for piece in pieces if len(piece.keys)]
    if len(some) < 2:
        return replace(some[0] if some else pieces[0], missing=missing)
    keys = np.concatenate([piece.keys for piece in some])
    order = np.argsort(keys, kind="stable")  # ascending runs: merges of them
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))

    def reduced(reduce: np.ufunc, parts: Iterable[np.ndarray]) -> np.ndarray:
        return reduce.reduceat(np.concatenate(list(parts))[order], starts)

    return Bins(
        keys[starts],
        reduced(np.add, (piece.counts for piece in some)),
        reduced(np.minimum, (piece.low for piece in some)),
        reduced(np.maximum, (piece.high for piece in some)),
        missing,
    )


def _filled(state: Bins, value: float) -> Bins:
    """The missing values become a bin of their own, which cuts the bin that they fall into.

    How many of the cut bin's rows are below the value is not known; it holds at most the allowed
    share of the rows, or one value only.
    """
    if not state.missing:
        return state
    below = int(np.searchsorted(state.high, value))  # bins wholly below
    cut = below < len(state.low) and state.low[below] < value
    pieces = [[float(state.missing), value, value]]
    if cut:
        count, low, high = int(state.counts[below]), state.low[below], state.high[below]
        under = round(count * (value - low) / (high - low))
        pieces = [[under, low, value], *pieces, [count - under, value, high]]
    pieces = [piece for piece in pieces if piece[0]]
    after = below + cut
    counts, lows, highs = np.array(pieces).T

    def put(whole: np.ndarray, piece: np.ndarray) -> np.ndarray:
        return np.concatenate([whole[:below], piece.astype(whole.dtype), whole[after:]])

    return Bins(
        put(state.keys, np.zeros(len(pieces))),  # a changed state is asked, not merged
        put(state.counts, counts),
        put(state.low, lows),
        put(state.high, highs),
    )


def _prefix(ordered: np.ndarray, bits: int) -> np.ndarray:
    drop = np.uint64(max(64 - bits, 0))
    return (ordered >> drop) << drop
