"""In which order an epoch reads the rows, and which of them belong to which rank.

One total order per epoch, the same on every rank and for every number of ranks: the blocks
(Parquet row groups) are permuted by (seed, epoch), neighbours are put together into windows, and
the rows of a window are permuted by (seed, epoch, window). A window bounds the memory, so wide rows
make it hold fewer of them; it holds several blocks, because a table that is partitioned by date has
blocks of one date only, and a batch from one block would be as one-sided.

Of `rows` rows, `rows mod ranks` are left out of an epoch, so that every rank gets a contiguous
slice of the order of equal length and all run the same number of steps. The rows left out move on
by their number with every epoch.

An epoch that was cut goes on with what is left of every rank's slice: intervals of the order, which
are put end to end and sliced again, for as many ranks as there are now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_ROWS = 65_536
WINDOW_BYTES = 128 << 20
_WINDOW_BATCHES = 2


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What a rank takes from one window.

    `blocks` are block numbers; `take` are row positions in the concatenation of these blocks, in
    reading order.
    """

    blocks: tuple[int, ...]
    take: NDArray[np.int64]


Intervals = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What is left of an epoch that `ranks` ranks began: positions [first, last) of its order.

    The intervals are in ascending order and do not touch one another's rows.
    """

    ranks: int
    intervals: Intervals

    @property
    def rows(self) -> int:
        """Rows that are left."""
        return sum(last - first for first, last in self.intervals)


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order of rows for every epoch. `rows` are the row counts of the blocks."""

    rows: tuple[int, ...]
    ranks: int
    seed: int
    window_rows: int = WINDOW_ROWS

    @property
    def total(self) -> int:
        """Rows of all blocks."""
        return sum(self.rows)

    @property
    def whole(self) -> Rest:
        """An epoch of which nothing was read."""
        return Rest(ranks=self.ranks, intervals=((0, self.total - self.total % self.ranks),))

    @property
    def rows_per_rank(self) -> int:
        """Rows that each rank reads in a whole epoch."""
        return self.total // self.ranks

    def shares(self, rest: Rest) -> list[Intervals]:
        """Return the positions that each rank reads of `rest`, equally many.

        `rest.rows mod ranks` rows at the end are nobody's.
        """
        size = rest.rows // self.ranks
        return [_cut(rest.intervals, rank * size, (rank + 1) * size) for rank in range(self.ranks)]

    def after(self, rest: Rest, rows: int) -> Rest:
        """Return what is left of `rest` when every rank has read the first `rows` of its share."""
        left = [_cut(share, rows, rest.rows) for share in self.shares(rest)]
        return Rest(ranks=rest.ranks, intervals=tuple(pair for share in left for pair in share))

    def left_out(self, epoch: int, ranks: int | None = None) -> NDArray[np.int64]:
        """Return the rows that `epoch` skips, counted through the blocks as they are listed."""
        number = self.total % (ranks or self.ranks)
        return (epoch * number + np.arange(number)) % max(self.total, 1)

    def pieces(self, epoch: int, rank: int, rest: Rest | None = None) -> Iterator[Piece]:
        """Yield what `rank` reads of `rest` (of the whole epoch) in `epoch`, window by window."""
        rest = rest or self.whole
        share = self.shares(rest)[rank]
        starts = np.concatenate([[0], np.cumsum(self.rows)])
        skipped = np.sort(self.left_out(epoch, rest.ranks))
        position = 0
        for number, blocks in enumerate(self._windows(epoch)):
            if not share or position >= share[-1][1]:
                return
            kept = self._kept(blocks, starts, skipped)
            inside = [
                (max(first - position, 0), min(last - position, len(kept))) for first, last in share
            ]
            inside = [(first, last) for first, last in inside if first < last]
            position += len(kept)
            if inside:
                shuffled = _generator(self.seed, epoch, number + 1).permutation(kept)
                take = np.concatenate([shuffled[first:last] for first, last in inside])
                yield Piece(blocks=blocks, take=take)

    def _windows(self, epoch: int) -> Iterator[tuple[int, ...]]:
        window: list[int] = []
        size = 0
        for block in _generator(self.seed, epoch, 0).permutation(len(self.rows)):
            window.append(int(block))
            size += self.rows[block]
            if size >= self.window_rows:
                yield tuple(window)
                window, size = [], 0
        if window:
            yield tuple(window)

    def _kept(
        self, blocks: Sequence[int], starts: NDArray[np.int64], skipped: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the positions in the concatenated blocks that this epoch reads."""
        kept = np.ones(sum(self.rows[block] for block in blocks), dtype=bool)
        offset = 0
        for block in blocks:
            low, high = np.searchsorted(skipped, [starts[block], starts[block + 1]])
            kept[offset + skipped[low:high] - starts[block]] = False
            offset += self.rows[block]
        return np.flatnonzero(kept)


def _cut(intervals: Intervals, first: int, last: int) -> Intervals:
    """Return the positions number `first` to `last` of the intervals put end to end."""
    found = []
    passed = 0
    for low, high in intervals:
        begin, end = max(low + first - passed, low), min(low + last - passed, high)
        if begin < end:
            found.append((begin, end))
        passed += high - low
    return tuple(found)


def window_rows(row_bytes: int, batch_size: int, budget: int = WINDOW_BYTES) -> int:
    """Return the rows of a window, of rows that take `row_bytes` as float32.

    Known before the ranks start: it is a part of the order, on which all must agree. A batch is
    what the caller asked for, so a window holds at least some, whatever they take.
    """
    return max(min(WINDOW_ROWS, budget // max(row_bytes, 1)), _WINDOW_BATCHES * batch_size)


def share(total: int, ranks: int, rank: int) -> tuple[int, int]:
    """Return the rows [first, last) of `rank` where all rows are used, in unequal shares."""
    return total * rank // ranks, total * (rank + 1) // ranks


def _generator(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
