"""Metrics of binary classification: probabilities of class 1 against labels 0 and 1.

ROC-AUC and PR-AUC are those of `ranking.py`, lift is that of the tenth of the rows with the highest
probabilities, in which ties count by their share. ROC-AUC is NaN where only one class occurs;
recall, F1, PR-AUC and lift where no row is positive. Precision is 0 where nothing is predicted
positive, and MCC where a margin is empty, as in scikit-learn. Cost: one sort of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import (
    Floats,
    Options,
    Sample,
    Summed,
    pair_shapes,
    ratio,
    totals,
)
from sparkmine.evaluate.ranking import Ranking, average_precision, roc_auc

# An average of float32 probabilities may lie this far outside [0, 1]; it is clipped.
_ROUNDING = 1e-6
# The share of the rows that `lift` looks at.
LIFT_SHARE = 0.1

# Columns of `Scored.terms`; their weighted sums over rows give all but the ranked metrics.
_WEIGHT, _POSITIVE, _TRUE_POSITIVE, _FALSE_POSITIVE, _LOG_LOSS, _SQUARED_ERROR = range(6)


@dataclass(frozen=True, kw_only=True)
class Scored(Summed):
    """Labels and probabilities of n rows, sorted once: `order` and `ranking` are by falling
    probability."""

    metrics: ClassVar[Mapping[str, str]] = {
        "accuracy": "Accuracy",
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "mcc": "MCC",
        "roc_auc": "ROC-AUC",
        "pr_auc": "PR-AUC",
        "lift": "Lift",
        "log_loss": "Log loss",
        "brier": "Brier score",
    }
    primary: ClassVar[str] = "roc_auc"
    ranked_metrics: ClassVar[frozenset[str]] = frozenset({"roc_auc", "pr_auc", "lift"})

    labels: Floats
    probabilities: Floats
    threshold: float
    order: npt.NDArray[np.intp]
    ranking: Ranking

    @classmethod
    def of(cls, labels: npt.ArrayLike, predictions: npt.ArrayLike, options: Options) -> Self:
        """Check and sort. Predicted positive is a probability at or above the threshold.

        Raises:
            DataError: no rows, other labels than 0 and 1, probabilities outside [0, 1].
        """
        truth, scores = checked(labels, predictions)
        ranking = Ranking.of(truth, scores)
        predicted = (scores >= options.threshold).astype(np.float64)
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
            threshold=options.threshold,
            order=ranking.order,
            ranking=ranking,
            terms=terms,
        )

    def above(self, ranked_weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Weight of the positives and of the negatives at or above each distinct probability.

        `ranked_weights` [n] are in the order of `order`; the result is two arrays [k].
        """
        return self.ranking.above(ranked_weights)

    def from_sums(
        self, names: Sequence[str], sums: Floats, ranked_weights: Floats | None
    ) -> dict[str, float]:
        weight, positive = float(sums[_WEIGHT]), float(sums[_POSITIVE])
        true_positive, false_positive = float(sums[_TRUE_POSITIVE]), float(sums[_FALSE_POSITIVE])
        predicted = true_positive + false_positive
        negative = weight - positive
        values = {
            "accuracy": ratio(true_positive + negative - false_positive, weight),
            "precision": true_positive / predicted if predicted > 0 else 0.0,
            "recall": ratio(true_positive, positive),
            "f1": ratio(2 * true_positive, predicted + positive) if positive > 0 else math.nan,
            "mcc": _correlation(true_positive, weight, positive, predicted),
            "log_loss": ratio(float(sums[_LOG_LOSS]), weight),
            "brier": ratio(float(sums[_SQUARED_ERROR]), weight),
        }
        if self.needs_ranks(names):
            above = self.above(ranked_weights)
            # Only what is asked for: a bootstrap comes here for each of its resamples.
            ranked = {"roc_auc": roc_auc, "pr_auc": average_precision, "lift": _lift}
            values |= {name: ranked[name](*above) for name in names if name in ranked}
        return {name: values[name] for name in names}

    def compact(self, weights: Floats) -> Sample:
        """One row for each label and distinct probability."""
        ranking, ranked = self.ranking, weights[self.order]
        scores = self.probabilities[self.order[ranking.ends]]
        places = np.repeat(np.arange(len(scores)), np.diff(ranking.ends, prepend=-1))
        # Not as steps of running sums, whose rounding leaves weights that no row has.
        counts = np.concatenate(
            [
                totals(places, ranked * ranking.labels, len(scores)),
                totals(places, ranked * (1 - ranking.labels), len(scores)),
            ]
        )
        labels = np.repeat([1.0, 0.0], len(scores))
        kept = counts > 0
        if not kept.any():  # all weights are 0
            kept[:1] = True
        return Sample(
            outcomes=Scored.of(
                labels[kept], np.tile(scores, 2)[kept], Options(threshold=self.threshold)
            ),
            weights=counts[kept],
        )

    @property
    def options(self) -> Options:
        return Options(threshold=self.threshold)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        return {"label": self.labels == 1, "probability": self.probabilities}

    @classmethod
    def of_columns(cls, columns: Mapping[str, npt.NDArray[Any]], options: Options) -> Self:
        return cls.of(columns["label"], columns["probability"], options)


def checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both arrays as float64 [n], or a DataError that says what is wrong with them."""
    truth = np.asarray(labels, dtype=np.float64)
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 1:
        raise DataError(f"probabilities of class 1 are one number a row, not {scores.shape}")
    pair_shapes(truth, scores)
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


def _correlation(both: float, weight: float, positive: float, predicted: float) -> float:
    """Matthews correlation: the correlation of label and prediction (Matthews 1975)."""
    spread = positive * (weight - positive) * predicted * (weight - predicted)
    if not weight > 0:
        return math.nan
    return (weight * both - positive * predicted) / math.sqrt(spread) if spread > 0 else 0.0


def _lift(true_positive: Floats, false_positive: Floats) -> float:
    """Share of positives in the first tenth of the rows, over their share in all."""
    predicted = true_positive + false_positive
    first = LIFT_SHARE * predicted[-1]
    found = np.interp(first, np.append(0.0, predicted), np.append(0.0, true_positive))
    return ratio(float(found), float(LIFT_SHARE * true_positive[-1]))
