"""Rows in the order of a score, and the metrics that depend on that order alone.

ROC-AUC counts ties by half, PR-AUC is average precision (no interpolation); definitions are
scikit-learn's. Sorted once, rows are measured with any weights by two running sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from sparkmine.evaluate.metrics import Floats, ratio


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """n rows by falling score.

    Fields:
        order: [n] the rows.
        labels: [n] their labels, 1 for a positive, in that order.
        ends: [k] the last position of each of the k distinct scores.
    """

    order: npt.NDArray[np.intp]
    labels: Floats
    ends: npt.NDArray[np.intp]

    @classmethod
    def of(cls, labels: Floats, scores: Floats) -> Self:
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
        return cls(order=order, labels=labels[order], ends=ends)

    def above(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Weight of the positives and of the negatives at or above each distinct score.

        `weights` [n] are in the order of `order`; the result is two arrays [k].
        """
        used = np.ones_like(self.labels) if weights is None else weights
        true_positive, predicted = np.cumsum(used * self.labels), np.cumsum(used)
        if len(self.ends) < len(used):
            true_positive, predicted = true_positive[self.ends], predicted[self.ends]
        return true_positive, predicted - true_positive


def roc_auc(true_positive: Floats, false_positive: Floats) -> float:
    """From what lies above each score; NaN where there are no positives or no negatives."""
    # Trapezoids: within a tie half of the pairs count as ordered rightly.
    height = true_positive.copy()
    height[1:] += true_positive[:-1]
    area = _dot(height, steps(false_positive)) / 2
    return ratio(area, float(true_positive[-1] * false_positive[-1]))


def average_precision(true_positive: Floats, false_positive: Floats) -> float:
    """From what lies above each score; NaN where there are no positives."""
    predicted = true_positive + false_positive
    precision = np.divide(
        true_positive, predicted, out=np.zeros_like(predicted), where=predicted > 0
    )
    return ratio(_dot(steps(true_positive), precision), float(true_positive[-1]))


def steps(running: Floats) -> Floats:
    """What a running sum grows by."""
    found = running.copy()
    found[1:] -= running[:-1]
    return found


def _dot(first: Floats, second: Floats) -> float:
    return float(np.einsum("i,i->", first, second))
