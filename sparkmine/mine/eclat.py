"""Frequent itemsets of baskets held in one process: Eclat over packed bit matrices.

Zaki, "Scalable Algorithms for Association Mining" (IEEE TKDE 2000): an itemset's cover is a bit
set over baskets, and the cover of a union is the bitwise AND of the covers. Here the baskets
that hold an item become a bit matrix of their own (one row per item that follows it and is
frequent beside it), and that matrix is grown level by level in NumPy: all pairs of itemsets
that share a prefix are intersected and counted in a few calls, however many there are.

Items are codes 0..m-1 in ascending order of frequency, so that the long covers have the few
extensions. Pair counts come from the baskets themselves (a bincount), at the cost of the sum
of squared basket lengths; a bit matrix is built only for the extensions that survive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"

# Bytes that one intersection step may touch: small enough to stay in a core's cache.
STEP_BYTES = 1 << 22
# Bytes of the unpacked scratch matrix, of which each holds one bit.
PACK_BYTES = 1 << 25


@dataclass(frozen=True, kw_only=True)
class Baskets:
    """Baskets as ascending item codes, one after the other, and where each code occurs.

    Fields:
        codes: int32 [entries], ascending within each basket.
        ends: int64 [entries], the end of the entry's own basket in `codes`.
        positions: int64 [entries], the entries ordered by code.
        starts: int64 [items + 1], the range of each code in `positions`.
    """

    codes: Array
    ends: Array
    positions: Array
    starts: Array

    @classmethod
    def of(cls, codes: Array, lengths: Array, items: int) -> Baskets:
        """Index baskets of `lengths` [baskets] over `codes` [sum of lengths], `items` in all."""
        offsets = np.cumsum(lengths, dtype=np.int64)
        counts = np.bincount(codes, minlength=items)
        # Numbers of 16 bits are sorted by their digits, in a third of the time.
        sortable = codes.astype(np.uint16) if items <= 1 << 16 else codes
        return cls(
            codes=codes,
            ends=np.repeat(offsets, lengths),
            positions=np.argsort(sortable, kind="stable"),
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )

    def following(self, item: int) -> tuple[Array, Array, int]:
        """Codes that follow `item` in its baskets.

        Returns:
            The codes, the 0-based number of each code's basket among the baskets with `item`
            (ascending), and the number of those baskets.
        """
        entries = self.positions[self.starts[item] : self.starts[item + 1]]
        lengths = self.ends[entries] - entries - 1
        baskets = np.repeat(np.arange(len(entries)), lengths)
        first = np.cumsum(lengths) - lengths
        places = np.arange(len(baskets)) + np.repeat(entries + 1 - first, lengths)
        return self.codes[places], baskets, len(entries)


def frequent(
    baskets: Baskets, items: int, threshold: int, max_length: int | None = None
) -> Iterator[tuple[Array, Array]]:
    """Itemsets of two items and more that are in at least `threshold` baskets (1 or more).

    Yields:
        Blocks of equal length k: codes int32 [n, k], ascending in a row, and counts int64 [n].
    """
    for item in range(items - 1):
        codes, places, size = baskets.following(item)
        counts = np.bincount(codes, minlength=items)
        partners = np.flatnonzero(counts >= threshold)
        if not len(partners):
            continue
        head = np.full(len(partners), item)
        pairs = np.stack([head, partners], axis=1).astype(np.int32)
        yield pairs, counts[partners]
        if len(partners) > 1 and (max_length is None or max_length > 2):
            bits = bit_matrix(codes, places, size, partners, items)
            yield from _grow(pairs, bits, threshold, max_length)


def count(baskets: Baskets, itemsets: Array, items: int) -> Array:
    """Baskets that hold each itemset: codes [n, k] with k >= 2, ascending in a row -> int64 [n]."""
    counts = np.zeros(len(itemsets), dtype=np.int64)
    order = np.argsort(itemsets[:, 0], kind="stable")
    heads, begins = np.unique(itemsets[order, 0], return_index=True)
    for head, rows in zip(heads, np.split(order, begins[1:]), strict=True):
        codes, places, size = baskets.following(int(head))
        tails = itemsets[rows, 1:]
        wanted = np.unique(tails)
        bits = bit_matrix(codes, places, size, wanted, items)
        tails = np.searchsorted(wanted, tails)
        step = max(1, STEP_BYTES // max(1, bits.shape[1] * 8))
        for start in range(0, len(rows), step):
            block = tails[start : start + step]
            cover = bits[block[:, 0]]
            for column in range(1, block.shape[1]):
                cover &= bits[block[:, column]]
            counts[rows[start : start + step]] = ones(cover)
    return counts


def bit_matrix(codes: Array, places: Array, size: int, wanted: Array, items: int) -> Array:
    """Bit matrix uint64 [len(wanted), ceil(size / 64)]: which basket holds which wanted code."""
    row = np.full(items, -1)
    row[wanted] = np.arange(len(wanted))
    rows = row[codes]
    known = rows >= 0
    rows, places = rows[known], places[known]
    words = -(-size // 64)
    bits = np.zeros((len(wanted), words * 8), dtype=np.uint8)
    step = max(64, PACK_BYTES // max(1, len(wanted)) // 64 * 64)
    for start in range(0, size, step):
        width = min(step, words * 64 - start)
        low, high = np.searchsorted(places, [start, start + width])
        unpacked = np.zeros((len(wanted), width), dtype=bool)
        unpacked[rows[low:high], places[low:high] - start] = True
        bits[:, start // 8 : (start + width) // 8] = np.packbits(unpacked, axis=1)
    return bits.view(np.uint64)


def _grow(
    itemsets: Array, bits: Array, threshold: int, max_length: int | None
) -> Iterator[tuple[Array, Array]]:
    """Longer itemsets from one prefix class, depth first so that few levels are in memory.

    A group on the stack is itemsets [n, k], their covers, for each row the end of the rows that
    share its prefix, and the first row that was not extended yet.
    """
    ends = np.full(len(itemsets), len(itemsets))
    stack: list[tuple[Array, Array, Array, int]] = [(itemsets, bits, ends, 0)]
    while stack:
        itemsets, bits, ends, start = stack.pop()
        partners = ends - np.arange(len(itemsets)) - 1
        step = max(1, STEP_BYTES // (bits.shape[1] * 8))
        total = np.cumsum(partners[start:])
        stop = start + max(1, int(np.searchsorted(total, step, side="right")))
        if stop < len(itemsets):
            stack.append((itemsets, bits, ends, stop))
        left = np.repeat(np.arange(start, stop), partners[start:stop])
        first = total[: stop - start] - partners[start:stop]
        right = np.arange(len(left)) - np.repeat(first, partners[start:stop]) + left + 1
        cover = bits[left]
        cover &= bits[right]
        counts = ones(cover)
        kept = np.flatnonzero(counts >= threshold)
        if not len(kept):
            continue
        left, right = left[kept], right[kept]
        longer = np.concatenate([itemsets[left], itemsets[right, -1:]], axis=1)
        yield longer, counts[kept]
        if max_length is not None and longer.shape[1] >= max_length:
            continue
        ends_of = np.searchsorted(left, left, side="right")
        if (ends_of - np.arange(len(left)) > 1).any():
            stack.append((longer, cover[kept], ends_of, 0))


def ones(bits: Array) -> Array:
    """Bits that are set in each row of uint64 [n, words] -> int64 [n]."""
    counts: Array = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return counts


def by_length(blocks: Sequence[tuple[Array, Array]]) -> dict[int, tuple[Array, Array]]:
    """Join blocks of equal itemset length: {k: (codes [n, k], counts [n])}, ascending k."""
    grouped: dict[int, list[tuple[Array, Array]]] = {}
    for codes, counts in blocks:
        grouped.setdefault(codes.shape[1], []).append((codes, counts))
    return {
        length: (np.concatenate([c for c, _ in parts]), np.concatenate([n for _, n in parts]))
        for length, parts in sorted(grouped.items())
    }
