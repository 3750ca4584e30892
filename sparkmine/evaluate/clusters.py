"""How well clusters of records agree with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError


@dataclass(frozen=True)
class Agreement:
    """Precision and recall, 0 to 1; 1 where there was nothing to find or nothing was found."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def pairwise(truth: Sequence[object], found: Sequence[object]) -> Agreement:
    """Of the pairs of records in one cluster: the share that is true, and of the true ones found.

    Args:
        truth, found: The true and the found cluster [n] of each record, any hashable names.

    Raises:
        DataError: they are not equally long.
    """
    sizes, true_sizes, both = _sizes(truth, found)
    shared = _pairs(both)
    return Agreement(_share(shared, _pairs(sizes)), _share(shared, _pairs(true_sizes)))


def whole_clusters(truth: Sequence[object], found: Sequence[object]) -> Agreement:
    """Of the found clusters the share that is a true one exactly, and of the true ones found.

    Records without another one are clusters of their own. One wrong record makes the clusters that
    it is in, and that it should be in, wrong.
    """
    sizes, true_sizes, both = _sizes(truth, found)
    left, right = _codes(truth), _codes(found)
    cells = np.unique(np.stack([left, right]), axis=1)
    exact = int(((true_sizes[cells[0]] == both) & (sizes[cells[1]] == both)).sum())
    return Agreement(_share(exact, len(sizes)), _share(exact, len(true_sizes)))


def _sizes(
    truth: Sequence[object], found: Sequence[object]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the found clusters, of the true ones, and of those of both, in order of codes."""
    if len(truth) != len(found):
        raise DataError(
            f"{len(truth)} true clusters for {len(found)} found ones; give one a record"
        )
    left, right = _codes(truth), _codes(found)
    both = np.unique(np.stack([left, right]), axis=1, return_counts=True)[1]
    return np.bincount(right), np.bincount(left), both


def _codes(names: Sequence[object]) -> npt.NDArray[np.int64]:
    known: dict[object, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)


def _pairs(sizes: npt.NDArray[np.int64]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
