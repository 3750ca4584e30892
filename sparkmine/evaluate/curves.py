"""Curves and tables of measured rows as plain data, for reports.

ROC, precision-recall and calibration have the points of scikit-learn's functions of the same names
(all distinct probabilities); `thinned` keeps at most a given number of them, spread evenly along
the drawn line. Gain is the share of the positives among the rows with the highest probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.binary import Scored
from sparkmine.evaluate.metrics import Floats, Sample, totals
from sparkmine.evaluate.multiclass import Classified


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
    """Row counts by actual class (outer) and predicted class (inner), in the order of `classes`."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def roc_curve(sample: Sample) -> tuple[Floats, Floats]:
    """False positive rate and true positive rate, each [k + 1], from (0, 0) to (1, 1).

    Empty where only one class occurs.
    """
    true_positive, false_positive = _above(sample)
    if true_positive[-1] == 0 or false_positive[-1] == 0:
        return np.empty(0), np.empty(0)
    return (
        np.append(0.0, false_positive / false_positive[-1]),
        np.append(0.0, true_positive / true_positive[-1]),
    )


def precision_recall_curve(sample: Sample) -> tuple[Floats, Floats]:
    """Recall and precision, each [k + 1], from (0, 1) by falling threshold to recall 1.

    Empty where no row is positive.
    """
    true_positive, false_positive = _above(sample)
    if true_positive[-1] == 0:
        return np.empty(0), np.empty(0)
    return (
        np.append(0.0, true_positive / true_positive[-1]),
        np.append(1.0, true_positive / (true_positive + false_positive)),
    )


def gain_curve(sample: Sample) -> tuple[Floats, Floats]:
    """Share of the rows and of the positives among them, [k + 1], the likeliest rows first.

    Empty where no row is positive.
    """
    true_positive, false_positive = _above(sample)
    if true_positive[-1] == 0:
        return np.empty(0), np.empty(0)
    rows = true_positive + false_positive
    return np.append(0.0, rows / rows[-1]), np.append(0.0, true_positive / true_positive[-1])


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


def calibration(sample: Sample, bins: int = 10) -> tuple[CalibrationBin, ...]:
    """Predicted against observed in `bins` equally wide intervals of [0, 1]; empty ones left out.

    An interval includes its upper edge, as in scikit-learn's `calibration_curve`.
    """
    scored = _scored(sample)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], scored.probabilities)
    rows = totals(place, sample.weights, bins)
    predicted = totals(place, sample.weights * scored.probabilities, bins)
    observed = totals(place, sample.weights * scored.labels, bins)
    return tuple(
        CalibrationBin(
            predicted=float(predicted[i] / rows[i]),
            observed=float(observed[i] / rows[i]),
            rows=round(rows[i]),
        )
        for i in np.flatnonzero(rows)
    )


def confusion(sample: Sample, classes: Sequence[str] | None = None) -> Confusion:
    """Counts by label and prediction; of two classes at the threshold of the scored rows.

    Args:
        classes: What the classes are called, all of them in order; their own values when None.

    Raises:
        ConfigError: another number of names than of classes.
    """
    found = sample.outcomes
    if isinstance(found, Classified):
        table = found.table(sample.weights)
        names = tuple(classes or map(str, found.classes))
    else:
        scored = _scored(sample)
        cells = 2 * scored.labels + (scored.probabilities >= scored.threshold)
        table = totals(cells.astype(np.intp), sample.weights, 4).reshape(2, 2)
        names = tuple(classes or ("0", "1"))
    if len(names) != len(table):
        raise ConfigError(f"there are {len(table)} classes, and {len(names)} names of them")
    return Confusion(
        classes=names, counts=tuple(tuple(round(count) for count in row) for row in table)
    )


def _scored(sample: Sample) -> Scored:
    if not isinstance(sample.outcomes, Scored):
        raise DataError("there are curves of probabilities of class 1 only")
    return sample.outcomes


def _above(sample: Sample) -> tuple[Floats, Floats]:
    scored = _scored(sample)
    return scored.above(sample.weights[scored.order])


def _rounded(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    # Six digits are finer than a pixel, and keep the JSON and the SVG small.
    return tuple(round(float(value), 6) for value in values)
