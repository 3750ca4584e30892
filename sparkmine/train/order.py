"""In which order an epoch reads the rows, and which of them belong to which rank.

One total order per epoch, the same on every rank and for every number of ranks: the blocks
(Parquet row groups) are permuted by (seed, epoch), neighbours are put together into windows, and
the rows of a window are permuted by (seed, epoch, window). A window bounds the memory; it holds
several blocks, because a table that is partitioned by date has blocks of one date only, and a
batch from one block would be as one-sided.

Of `rows` rows, `rows mod ranks` are left out of an epoch, so that every rank gets a contiguous
slice of the order of equal length and all run the same number of steps. The rows left out move on
by their number with every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_ROWS = 65_536


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What a rank takes from one window.

    `blocks` are block numbers; `take` are row positions in the concatenation of these blocks, in
    reading order.
    """

    blocks: tuple[int, ...]
    take: NDArray[np.int64]


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
    def rows_per_rank(self) -> int:
        """Rows that each rank reads in an epoch."""
        return self.total // self.ranks

    def left_out(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows that `epoch` skips, counted through the blocks as they are listed."""
        number = self.total % self.ranks
        return (epoch * number + np.arange(number)) % max(self.total, 1)

    def pieces(self, epoch: int, rank: int) -> Iterator[Piece]:
        """Yield what `rank` reads in `epoch`, window by window."""
        low, high = rank * self.rows_per_rank, (rank + 1) * self.rows_per_rank
        starts = np.concatenate([[0], np.cumsum(self.rows)])
        skipped = np.sort(self.left_out(epoch))
        position = 0
        for number, blocks in enumerate(self._windows(epoch)):
            kept = self._kept(blocks, starts, skipped)
            first, last = max(low - position, 0), min(high - position, len(kept))
            position += len(kept)
            if first < last:
                shuffle = _generator(self.seed, epoch, number + 1)
                yield Piece(blocks=blocks, take=shuffle.permutation(kept)[first:last])
            if position >= high:
                return

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


def share(total: int, ranks: int, rank: int) -> tuple[int, int]:
    """Return the rows [first, last) of `rank` where all rows are used, in unequal shares."""
    return total * rank // ranks, total * (rank + 1) // ranks


def _generator(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
