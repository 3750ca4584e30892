"""Metrics of binary classification on NumPy arrays, exact and with weights.

Every metric is a function of two things: sums over rows (right answers, squared errors, ...), and
the counts of positives and negatives above each distinct probability. Both are linear in the
row weights once the rows are sorted, so a bootstrap (`intervals`) sorts once and then only
reweighs. Cost: one sort of the rows. The definitions are scikit-learn's: ROC-AUC counts ties by
half, PR-AUC is average precision (no interpolation).

What is not defined is NaN: ROC-AUC where only one class occurs; recall, F1 and PR-AUC where no
row is positive. Precision is 0 where nothing is predicted positive, as in scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError

Floats = npt.NDArray[np.float64]

# Name of each metric, as it is written in reports.
METRICS = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
}
LOWER_IS_BETTER = frozenset({"log_loss", "brier"})
_RANKED = frozenset({"roc_auc", "pr_auc"})

# An average of float32 probabilities may lie this far outside [0, 1]; it is clipped.
_ROUNDING = 1e-6

# Columns of `Scored.terms`; their weighted sums over rows give all but the ranked metrics.
_WEIGHT, _POSITIVE, _TRUE_POSITIVE, _FALSE_POSITIVE, _LOG_LOSS, _SQUARED_ERROR = range(6)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Labels and probabilities of n rows, sorted once, ready to be measured with any weights.

    `order` [n] lists the rows by falling probability, `ranked` [n] their labels; `ends` [k] are the
    last positions of each of the k distinct probabilities; `terms` [n, 6] are the summands in the
    order of the rows.
    """

    labels: Floats
    probabilities: Floats
    threshold: float
    order: npt.NDArray[np.intp]
    ranked: Floats
    ends: npt.NDArray[np.intp]
    terms: Floats

    @classmethod
    def of(cls, labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float) -> Self:
        """Check and sort. Predicted positive is a probability at or above `threshold`.

        Raises:
            DataError: no rows, other labels than 0 and 1, probabilities outside [0, 1].
        """
        truth, scores = checked(labels, probabilities)
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        ends = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)
        predicted = (scores >= threshold).astype(np.float64)
        # The smallest step from 1 keeps the logarithm finite, as in scikit-learn.
        step = np.finfo(np.float64).eps
        right = np.clip(np.where(truth == 1, scores, 1 - scores), step, 1 - step)
        terms = np.stack(
            [
                np.ones_like(scores),
                truth,
                truth * predicted,
                (1 - truth) * predicted,
                -np.log(right),
                (scores - truth) ** 2,
            ],
            axis=1,
        )
        return cls(
            labels=truth,
            probabilities=scores,
            threshold=threshold,
            order=order,
            ranked=truth[order],
            ends=ends,
            terms=terms,
        )

    def above(self, ranked_weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Weight of the positives and of the negatives at or above each distinct probability.

        `ranked_weights` [n] are in the order of `order`; the result is two arrays [k].
        """
        weights = np.ones_like(self.ranked) if ranked_weights is None else ranked_weights
        true_positive, predicted = np.cumsum(weights * self.ranked), np.cumsum(weights)
        if len(self.ends) < len(weights):
            true_positive, predicted = true_positive[self.ends], predicted[self.ends]
        return true_positive, predicted - true_positive


def checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both arrays as float64 [n], or a DataError that says what is wrong with them."""
    truth = np.asarray(labels, dtype=np.float64)
    scores = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise DataError(
            f"labels and probabilities must be two equally long arrays, not {truth.shape} and "
            f"{scores.shape}"
        )
    if len(truth) == 0:
        raise DataError("there are no rows to evaluate; check the period of the test rows")
    bad = int(np.count_nonzero((truth != 0) & (truth != 1)))
    if bad:
        raise DataError(f"labels must be 0 or 1; {bad} of {len(truth)} rows hold something else")
    # Written so that NaN counts as bad.
    inside = (scores >= -_ROUNDING) & (scores <= 1 + _ROUNDING)
    bad = int(np.count_nonzero(~inside))
    if bad:
        raise DataError(
            f"probabilities must lie in [0, 1]; {bad} of {len(scores)} rows hold something else"
        )
    return truth, scores.clip(0.0, 1.0)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple, or a DataError that lists the metrics there are."""
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise DataError(f"unknown metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return tuple(names)


def measure(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    threshold: float = 0.5,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """Measure probabilities [n] of class 1 against labels [n] of 0 and 1.

    `weights` [n] count a row more than once or less (all 1 when None).
    """
    names = check_names(metrics)
    scored = Scored.of(labels, probabilities, threshold)
    row_weights = np.ones(len(scored.labels)) if weights is None else np.asarray(weights, float)
    if row_weights.shape != scored.labels.shape or not np.all(row_weights >= 0):
        raise DataError("weights must be as long as the labels, and not negative")
    ranked = row_weights[scored.order] if needs_ranks(names) else None
    return from_sums(names, weighted_sums(row_weights, scored.terms), scored, ranked)


def needs_ranks(names: Sequence[str]) -> bool:
    """Whether any of the metrics depends on the order of the rows and not only on sums."""
    return not _RANKED.isdisjoint(names)


def from_sums(
    names: Sequence[str], sums: Floats, scored: Scored, ranked_weights: Floats | None
) -> dict[str, float]:
    """Metrics from the weighted sums [6] of `scored.terms` and the weights in ranked order [n]."""
    weight, positive = float(sums[_WEIGHT]), float(sums[_POSITIVE])
    true_positive, false_positive = float(sums[_TRUE_POSITIVE]), float(sums[_FALSE_POSITIVE])
    predicted = true_positive + false_positive
    negative = weight - positive
    values = {
        "accuracy": _ratio(true_positive + negative - false_positive, weight),
        "precision": true_positive / predicted if predicted > 0 else 0.0,
        "recall": _ratio(true_positive, positive),
        "f1": _ratio(2 * true_positive, predicted + positive) if positive > 0 else math.nan,
        "log_loss": _ratio(float(sums[_LOG_LOSS]), weight),
        "brier": _ratio(float(sums[_SQUARED_ERROR]), weight),
    }
    if needs_ranks(names):
        above = scored.above(ranked_weights)
        values["roc_auc"] = _roc_auc(*above)
        values["pr_auc"] = _average_precision(*above)
    return {name: values[name] for name in names}


def weighted_sums(weights: Floats, terms: Floats) -> Floats:
    """Sums [6] of the rows of `terms` [n, 6] by their weights [n]."""
    sums: Floats = np.einsum("i,ij->j", weights, terms)
    return sums


def _roc_auc(true_positive: Floats, false_positive: Floats) -> float:
    # Trapezoids: within a tie half of the pairs count as ordered rightly.
    height = true_positive.copy()
    height[1:] += true_positive[:-1]
    area = _dot(height, _steps(false_positive)) / 2
    return _ratio(area, float(true_positive[-1] * false_positive[-1]))


def _average_precision(true_positive: Floats, false_positive: Floats) -> float:
    predicted = true_positive + false_positive
    precision = np.divide(
        true_positive, predicted, out=np.zeros_like(predicted), where=predicted > 0
    )
    return _ratio(_dot(_steps(true_positive), precision), float(true_positive[-1]))


def _steps(running: Floats) -> Floats:
    steps = running.copy()
    steps[1:] -= running[:-1]
    return steps


def _dot(first: Floats, second: Floats) -> float:
    # Not `@`: BLAS would start its threads for every resample, which costs more than the product.
    return float(np.einsum("i,i->", first, second))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def metric_label(name: str) -> str:
    """The name for readers: `roc_auc` is ROC-AUC."""
    return METRICS.get(name, name)


def percent(share: float, digits: int = 1) -> str:
    """A share for readers: 0.125 is 12.5 %, with a space that does not break."""
    return f"{100 * share:.{digits}f}\u00a0%"


def better(name: str, value: Any, other: Any) -> bool:
    """Whether `value` is the better one of two values of a metric; NaN and None never are."""
    if value is None or math.isnan(value):
        return False
    if other is None or math.isnan(other):
        return True
    return bool(value < other) if name in LOWER_IS_BETTER else bool(value > other)
