"""Sets of 64-bit hashes of many documents, in two arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Sets of hashes are padded with this in matrices, so no hash has this value.
PADDING = np.uint64(0xFFFFFFFFFFFFFFFF)
_CHECK_SALT = np.uint64(0xD6E8FEB86659FD93)

UInts = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sets:
    """Sets of hashed shingles of `n` documents.

    Attributes:
        values: All sets one after the other, each ascending without repeats.
        offsets: Where each begins and the last ends, [n + 1].
    """

    values: UInts
    offsets: Ints

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, places: Ints) -> Sets:
        """The sets at `places`, in that order."""
        lengths = self.lengths[places]
        offsets = offsets_of(lengths)
        return Sets(self.values[ranges(self.offsets[places], lengths, offsets)], offsets)

    @classmethod
    def joined(cls, parts: list[Sets]) -> Sets:
        lengths = [part.lengths for part in parts] or [np.zeros(0, np.int64)]
        values = [part.values for part in parts] or [np.zeros(0, np.uint64)]
        return cls(np.concatenate(values), offsets_of(np.concatenate(lengths)))

    def matrix(self, places: Ints, width: int) -> UInts:
        """The sets at `places` as rows of `width`, padded at the end."""
        found = self.take(places)
        rows = np.full((len(places), width), PADDING)
        rows[np.arange(width) < found.lengths[:, None]] = found.values
        return rows

    def keys(self) -> UInts:
        """A 64-bit hash of each set; meaningless for empty ones."""
        return self._sums(self.values)

    def checks(self) -> UInts:
        """Another one, independent of `keys`: together they are 128 bits."""
        return self._sums(self.values ^ _CHECK_SALT)

    def _sums(self, values: UInts) -> UInts:
        # A sum does not depend on order, and sets have no repeats.
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed(values))])
        return mixed(running[self.offsets[1:]] - running[self.offsets[:-1]])


def mixed(values: UInts) -> UInts:
    """MurmurHash3's 64-bit finalizer, a bijection."""
    found = values ^ (values >> np.uint64(33))
    found *= np.uint64(0xFF51AFD7ED558CCD)
    found ^= found >> np.uint64(33)
    found *= np.uint64(0xC4CEB9FE1A85EC53)
    found ^= found >> np.uint64(33)
    return found


def offsets_of(lengths: npt.ArrayLike) -> Ints:
    """Where parts of these lengths begin, and the end of the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def by_width(lengths: Ints) -> Iterator[tuple[Ints, int]]:
    """Groups of places whose lengths are alike, each with its greatest length."""
    classes = np.ceil(np.log2(np.maximum(lengths, 1)) * 2).astype(np.int8)
    for number in np.unique(classes):
        places = np.flatnonzero(classes == number)
        yield places, int(lengths[places].max(initial=0))


def ranges(begins: Ints, lengths: Ints, offsets: Ints) -> Ints:
    """begin, begin + 1, ... for each begin, `length` of them; `offsets` are those of lengths."""
    return np.arange(int(offsets[-1])) + np.repeat(begins - offsets[:-1], lengths)
