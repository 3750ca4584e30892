"""From bands to pairs that are worth comparing.

Documents with an equal band form a bucket. In a bucket of at most `WHOLE` documents every pair
is a candidate. A larger one costs a multiple of its size, not its square: its documents are
sorted by another band of theirs, then by their keys, and each is paired with the next `WINDOW`
and with the document of the least key. All that depends on the texts alone, never on the order
or the partition in which they came.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparkmine.dedup.sets import Ints, UInts

WHOLE = 32
WINDOW = 8


def candidates(
    bands: UInts, orders: UInts, keys: UInts, fresh: np.ndarray | None = None
) -> tuple[UInts, UInts, int]:
    """Pairs (lesser key, greater key), each once, and how many buckets were too large for all.

    Args:
        bands, orders, keys: One row for each document and band: the band's hash, another band's
            hash, the document's key. Repeated rows are allowed.
        fresh: Rows of new documents; pairs of two old ones are left out.
    """
    new = np.ones(len(keys), bool) if fresh is None else fresh
    met = _met(bands, new)
    bands, orders, keys, new = bands[met], orders[met], keys[met], new[met]
    order = np.lexsort((new, keys, orders, bands))  # what is old and new is old
    bands, keys, new = bands[order], keys[order], new[order]
    kept = np.ones(len(keys), bool)
    kept[1:] = (bands[1:] != bands[:-1]) | (keys[1:] != keys[:-1])
    bands, keys, new = bands[kept], keys[kept], new[kept]
    begins = np.flatnonzero(np.concatenate([[True], bands[1:] != bands[:-1]])[: len(bands)])
    sizes = np.diff(np.append(begins, len(bands)))
    left, right = [], []
    size = np.repeat(sizes, sizes)
    place = np.arange(len(bands)) - np.repeat(begins, sizes)
    for distance in range(1, min(int(sizes.max(initial=1)), WHOLE)):
        reach = place + distance < size
        if distance > WINDOW:
            reach &= size <= WHOLE
        found = np.flatnonzero(reach)
        left.append(found)
        right.append(found + distance)
    large = sizes > WHOLE
    if large.any():
        centres = _centres(keys, begins[large], sizes[large])
        members = np.flatnonzero(size > WHOLE)
        left.append(members)
        right.append(np.repeat(centres, sizes[large]))
    a, b = _joined(left), _joined(right)
    wanted = (new[a] | new[b]) & (keys[a] != keys[b])
    return (*unique_pairs(keys[a[wanted]], keys[b[wanted]]), int(large.sum()))


def unique_pairs(a: UInts, b: UInts) -> tuple[UInts, UInts]:
    """Each pair once, the lesser key first, in ascending order."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((high, low))
    low, high = low[order], high[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return low[first], high[first]


def _met(bands: UInts, new: npt.NDArray[np.bool_]) -> Ints:
    """Rows whose band is in several rows, one of them new: few, and only they are sorted well."""
    order = np.argsort(bands)
    found = bands[order]
    begins = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]])[: len(found)])
    if not len(begins):
        return begins
    sizes = np.diff(np.append(begins, len(found)))
    wanted = (sizes > 1) & np.logical_or.reduceat(new[order], begins)
    return np.asarray(order[np.repeat(wanted, sizes)], np.int64)


def _centres(keys: UInts, begins: Ints, sizes: Ints) -> Ints:
    """Where the least key of each bucket is."""
    return np.array(
        [
            begin + int(np.argmin(keys[begin : begin + size]))
            for begin, size in zip(begins, sizes, strict=True)
        ],
        np.int64,
    )


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
