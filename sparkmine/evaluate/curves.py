"""Curves and tables of a binary classifier as plain data: ROC, precision-recall, calibration.

Points are those of scikit-learn's functions of the same names (all distinct probabilities); for
a report `thinned` keeps at most a given number of them, spread evenly along the drawn line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import Floats, Scored, checked


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line through points (x, y); empty where it is not defined."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Rows whose probability lies in one interval: predicted mean, observed share, row count."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Row counts by actual and predicted class."""

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


def roc_curve(scored: Scored) -> tuple[Floats, Floats]:
    """False positive rate and true positive rate, each [k + 1], from (0, 0) to (1, 1).

    Empty where only one class occurs.
    """
    true_positive, false_positive = scored.above()
    if true_positive[-1] == 0 or false_positive[-1] == 0:
        return np.empty(0), np.empty(0)
    return (
        np.append(0.0, false_positive / false_positive[-1]),
        np.append(0.0, true_positive / true_positive[-1]),
    )


def precision_recall_curve(scored: Scored) -> tuple[Floats, Floats]:
    """Recall and precision, each [k + 1], from (0, 1) by falling threshold to recall 1.

    Empty where no row is positive.
    """
    true_positive, false_positive = scored.above()
    if true_positive[-1] == 0:
        return np.empty(0), np.empty(0)
    return (
        np.append(0.0, true_positive / true_positive[-1]),
        np.append(1.0, true_positive / (true_positive + false_positive)),
    )


def thinned(x: Floats, y: Floats, points: int = 200) -> Curve:
    """At most `points` of the line's points, evenly along its length, both ends kept."""
    if points < 2:
        raise DataError(f"a curve needs at least 2 points, not {points}")
    keep = np.arange(len(x))
    if len(x) > points:
        length = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
        wanted = np.linspace(0.0, length[-1], points)
        keep = np.unique(np.searchsorted(length, wanted).clip(0, len(x) - 1))
        keep[0], keep[-1] = 0, len(x) - 1
    return Curve(x=_rounded(x[keep]), y=_rounded(y[keep]))


def calibration(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 10
) -> tuple[CalibrationBin, ...]:
    """Predicted against observed in `bins` equally wide intervals of [0, 1]; empty ones left out.

    An interval includes its upper edge, as in scikit-learn's `calibration_curve`.
    """
    truth, scores = checked(labels, probabilities)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], scores)
    rows = np.bincount(place, minlength=bins)
    predicted = np.bincount(place, weights=scores, minlength=bins)
    observed = np.bincount(place, weights=truth, minlength=bins)
    return tuple(
        CalibrationBin(
            predicted=float(predicted[i] / rows[i]),
            observed=float(observed[i] / rows[i]),
            rows=int(rows[i]),
        )
        for i in np.flatnonzero(rows)
    )


def confusion(scored: Scored) -> Confusion:
    """Counts at the threshold of `scored`."""
    actual = scored.labels == 1
    predicted = scored.probabilities >= scored.threshold
    return Confusion(
        true_negative=int(np.count_nonzero(~actual & ~predicted)),
        false_positive=int(np.count_nonzero(~actual & predicted)),
        false_negative=int(np.count_nonzero(actual & ~predicted)),
        true_positive=int(np.count_nonzero(actual & predicted)),
    )


def _rounded(values: Floats) -> tuple[float, ...]:
    # Six digits are finer than a pixel, and keep the JSON and the SVG small.
    return tuple(round(float(value), 6) for value in values)
