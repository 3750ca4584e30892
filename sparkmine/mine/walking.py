"""Walking rows down decision trees that are kept as arrays, all rows of a block at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int32]


def leaves(
    left: Places,
    right: Places,
    feature: Places,
    threshold: npt.NDArray[Any],
    roots: Places,
    rows: npt.NDArray[Any],
) -> Iterator[Places]:
    """The leaf [n] that each of the `rows` [n, d] ends in, for one tree after the other.

    Args:
        left, right: The children of a node, places in these arrays; -1 in a leaf.
        feature, threshold: A row goes left when its feature is at most the threshold.
        roots: [trees]; the nodes of a tree follow its root.
    """
    inner = left >= 0
    itself = np.arange(len(left), dtype=np.intp)
    # The two ways from a node, one behind the other. From a leaf both lead back to it, so that no
    # row has to be taken out when it has arrived.
    ways = np.column_stack([np.where(inner, left, itself), np.where(inner, right, itself)]).ravel()
    read = np.where(inner, feature, 0).astype(np.intp)
    flat = np.ascontiguousarray(rows).ravel()
    starts = np.arange(len(rows), dtype=np.intp) * rows.shape[1]
    for root, steps in zip(roots, depths(left, right, roots), strict=True):
        place = np.full(len(rows), root, np.intp)
        for _ in range(steps):
            above = flat.take(starts + read.take(place)) > threshold.take(place)
            place = ways.take(2 * place + above)
        yield place.astype(np.int32)


def depths(left: Places, right: Places, roots: Places) -> list[int]:
    """The most steps from each root to a leaf."""
    found = []
    for root in roots:
        level, steps = np.array([root]), -1
        while len(level):
            inner = level[left[level] >= 0]
            level = np.concatenate([left[inner], right[inner]])
            steps += 1
        found.append(steps)
    return found
