"""Exact Jaccard similarity of many pairs of sets at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparkmine.dedup.sets import PADDING, Ints, Sets, UInts, by_width

# Values of the matrix of one step.
_BLOCK = 1 << 21


def jaccard(sets: Sets, left: Ints, right: Ints) -> npt.NDArray[np.float64]:
    """|A and B| / |A or B| for the sets at `left` and `right`, pair by pair; [pairs].

    Pairs of similar size become rows of a matrix with both sets side by side; sorted, what they
    share stands next to itself.
    """
    lengths = sets.lengths
    longer = np.maximum(lengths[left], lengths[right])
    found = np.zeros(len(left))
    for places, width in by_width(longer):
        step = max(_BLOCK // max(2 * width, 1), 1)
        for begin in range(0, len(places), step):
            some = places[begin : begin + step]
            a, b = left[some], right[some]
            shared = _shared(sets.matrix(a, width), sets.matrix(b, width))
            both = lengths[a] + lengths[b] - shared
            found[some] = shared / np.maximum(both, 1)
    return found


def _shared(left: UInts, right: UInts) -> Ints:
    rows = np.concatenate([left, right], axis=1)
    rows.sort(axis=1)
    equal = (rows[:, 1:] == rows[:, :-1]) & (rows[:, 1:] != PADDING)
    return np.asarray(equal.sum(axis=1), np.int64)
