"""Metrics of classification into k classes: most from the table of labels against predictions.

Predictions are classes [n], or probabilities [n, k] in the order of the classes (then the class is
the most probable one, the first of equals, and log loss and Brier score are known). Averages over
classes as in scikit-learn: macro counts every class once, weighted by its rows, micro pools the
rows, which makes precision, recall and F1 the accuracy. A class that occurs neither as label nor as
prediction has no part in an average; one that is never predicted has precision 0. MCC is that of k
classes (Gorodkin 2004).

ROC-AUC and PR-AUC rank the rows by the probability of a class, that class against the rest; only
they need all rows, and one sort a class. A class without rows has no PR-AUC, one without rows, or
with all, no ROC-AUC, and no part in their averages. (scikit-learn measures neither then.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import (
    Floats,
    Options,
    Outcomes,
    Sample,
    pair_shapes,
    ratio,
    totals,
    weighted_sums,
)
from sparkmine.evaluate.ranking import Ranking, average_precision, roc_auc

# A table of labels against predictions of more classes is no picture, and its square a burden.
MOST_CLASSES = 1000
# Columns of `Classified.errors`.
_ERRORS = 2
_LOG_LOSS, _SQUARED = range(-_ERRORS, 0)


@dataclass(frozen=True, kw_only=True)
class Classified(Outcomes):
    """Labels and predicted classes of n rows.

    Fields:
        classes: [k] in order.
        cells: [n] place of label and prediction in the table, label * k + prediction.
        errors: [n, 2] log loss and squared error of each row; NaN where only classes were
            predicted.
        probabilities: [n, k], for ranked metrics; None where they are not known or not asked for.
    """

    metrics: ClassVar[Mapping[str, str]] = {
        "accuracy": "Accuracy",
        "precision_macro": "Precision, macro",
        "recall_macro": "Recall, macro",
        "f1_macro": "F1, macro",
        "precision_weighted": "Precision, weighted",
        "recall_weighted": "Recall, weighted",
        "f1_weighted": "F1, weighted",
        "f1_micro": "F1, micro",
        "mcc": "MCC",
        "roc_auc_macro": "ROC-AUC, macro",
        "roc_auc_weighted": "ROC-AUC, weighted",
        "pr_auc_macro": "PR-AUC, macro",
        "pr_auc_weighted": "PR-AUC, weighted",
        "log_loss": "Log loss",
        "brier": "Brier score",
    }
    primary: ClassVar[str] = "f1_macro"
    ranked_metrics: ClassVar[frozenset[str]] = frozenset(
        {"roc_auc_macro", "roc_auc_weighted", "pr_auc_macro", "pr_auc_weighted"}
    )

    classes: tuple[Any, ...]
    cells: npt.NDArray[np.intp]
    errors: Floats
    probabilities: Floats | None = None

    def __len__(self) -> int:
        return len(self.cells)

    @classmethod
    def of(cls, labels: npt.ArrayLike, predictions: npt.ArrayLike, options: Options) -> Self:
        """Check the rows.

        Raises:
            DataError: no rows, a label or class that is not among the classes, probabilities that
                do not add up to 1, too many classes.
        """
        truth, found = np.asarray(labels), np.asarray(predictions)
        pair_shapes(truth, found)
        classes = options.classes or _occurring(truth, found)
        if len(classes) > MOST_CLASSES:
            raise DataError(
                f"labels and predictions have {len(classes)} classes, more than the "
                f"{MOST_CLASSES} that can be measured: is this a regression?"
            )
        row = _codes(truth, classes, "labels")
        errors = np.full((len(row), _ERRORS), np.nan)
        probabilities = None
        if found.ndim == 2:
            found = np.asarray(found, np.float64)
            _check_probabilities(found, len(classes))
            column = np.argmax(found, axis=1)
            errors = _errors(row, found)
            probabilities = found if options.ranked else None
        else:
            column = _codes(found, classes, "predictions")
        return cls._of(row * len(classes) + column, errors, classes, probabilities)

    @classmethod
    def _of(
        cls,
        cells: npt.NDArray[np.intp],
        errors: Floats,
        classes: tuple[Any, ...],
        probabilities: Floats | None,
    ) -> Self:
        # Each class has an order of its own: weights come in the order of the rows.
        order = None if probabilities is None else np.arange(len(cells))
        return cls(
            cells=cells, errors=errors, classes=classes, probabilities=probabilities, order=order
        )

    @cached_property
    def rankings(self) -> tuple[Ranking, ...]:
        """The rows by the probability of each class, against the rest; none if not known."""
        if self.probabilities is None:
            return ()
        labels = self.cells // len(self.classes)
        return tuple(
            Ranking.of((labels == place).astype(np.float64), self.probabilities[:, place])
            for place in range(len(self.classes))
        )

    def by_class(self, name: str, weights: Floats) -> Floats:
        """`roc_auc` or `pr_auc` [k] of each class against the rest."""
        area = {"roc_auc": roc_auc, "pr_auc": average_precision}[name]
        found = [area(*ranking.above(weights.take(ranking.order))) for ranking in self.rankings]
        return np.array(found or [math.nan] * len(self.classes))

    def sums(self, weights: Floats) -> Floats:
        """The table of labels against predictions, row by row, and the errors: [k * k + 2]."""
        table = totals(self.cells, weights, len(self.classes) ** 2)
        return np.append(table, weighted_sums(weights, self.errors))

    def from_sums(
        self, names: Sequence[str], sums: Floats, ranked_weights: Floats | None
    ) -> dict[str, float]:
        table = sums[:-_ERRORS].reshape(len(self.classes), -1)
        weight = float(table.sum())
        right: Floats = np.diagonal(table).astype(np.float64)
        actual, predicted = table.sum(axis=1), table.sum(axis=0)
        accuracy = ratio(float(right.sum()), weight)
        each = {
            "precision": _divided(right, predicted),
            "recall": _divided(right, actual),
            "f1": _divided(2 * right, actual + predicted),
        }
        there = actual + predicted > 0
        values = {
            "accuracy": accuracy,
            "f1_micro": accuracy,
            "mcc": _correlation(float(right.sum()), weight, actual, predicted),
            "log_loss": ratio(float(sums[_LOG_LOSS]), weight),
            "brier": ratio(float(sums[_SQUARED]), weight),
        }
        for name, scores in each.items():
            values[f"{name}_macro"] = float(scores[there].mean()) if there.any() else math.nan
            values[f"{name}_weighted"] = ratio(float(scores @ actual), weight)
        for name in self.ranked_metrics.intersection(names):
            area, average = name.rsplit("_", 1)
            values[name] = math.nan
            if ranked_weights is not None:
                areas = self.by_class(area, ranked_weights)
                counts = np.ones_like(actual) if average == "macro" else actual
                known = ~np.isnan(areas)
                values[name] = ratio(float(areas[known] @ counts[known]), counts[known].sum())
        return {name: values[name] for name in names}

    def compact(self, weights: Floats) -> Sample:
        """One row for each cell of the table, with the mean errors there; with probabilities, all
        rows that weigh something, equal ones together."""
        if self.probabilities is not None:
            return self._without_repeats(weights, self.probabilities)
        count = len(self.classes) ** 2
        table = totals(self.cells, weights, count)
        columns = [totals(self.cells, weights * column, count) for column in self.errors.T]
        cells = np.flatnonzero(table > 0)
        errors = np.stack([column[cells] / table[cells] for column in columns], axis=1)
        found = Classified(cells=cells, errors=errors, classes=self.classes)
        return Sample(outcomes=found, weights=table[cells])

    def _without_repeats(self, weights: Floats, probabilities: Floats) -> Sample:
        kept = np.flatnonzero(weights > 0)
        if not len(kept):  # all weights are 0
            kept = np.arange(min(1, len(weights)))
        weights = weights[kept]
        # Most models give nearly every row a number of its own: then there is nothing to find.
        if 2 * len(np.unique(probabilities[kept, 0])) < len(kept):
            rows = np.column_stack([self.cells[kept], probabilities[kept]])
            _, first, places = np.unique(rows, axis=0, return_index=True, return_inverse=True)
            weights, kept = totals(places.reshape(-1), weights, len(first)), kept[first]
        found = self._of(self.cells[kept], self.errors[kept], self.classes, probabilities[kept])
        return Sample(outcomes=found, weights=weights)

    @property
    def options(self) -> Options:
        return Options(classes=self.classes, ranked=self.probabilities is not None)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        cells = self.cells.astype(np.int32)  # at most MOST_CLASSES squared
        if self.probabilities is None:
            return {"cell": cells, "errors": self.errors}
        return {"cell": cells, "probabilities": self.probabilities}

    @classmethod
    def of_columns(cls, columns: Mapping[str, npt.NDArray[Any]], options: Options) -> Self:
        assert options.classes is not None
        cells, known = columns["cell"].astype(np.intp), columns.get("probabilities")
        errors = columns["errors"] if known is None else _errors(cells // known.shape[1], known)
        return cls._of(cells, errors, options.classes, known)

    def table(self, weights: Floats) -> Floats:
        """Weights [k, k] by label (rows) and prediction (columns)."""
        return self.sums(weights)[:-_ERRORS].reshape(len(self.classes), -1)


def _occurring(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> tuple[Any, ...]:
    if predictions.ndim == 2:
        return tuple(range(predictions.shape[1]))
    try:
        return tuple(np.unique(np.concatenate([labels, predictions])).tolist())
    except TypeError:
        raise DataError("labels and predictions must be of one type, without nulls") from None


def _codes(values: npt.NDArray[Any], classes: tuple[Any, ...], what: str) -> npt.NDArray[np.intp]:
    """The place of each value among the classes."""
    known = np.asarray(classes, dtype=values.dtype if values.dtype == object else None)
    order = np.argsort(known, kind="stable")
    try:
        places = np.searchsorted(known, values, sorter=order).clip(0, len(known) - 1)
    except TypeError:
        raise DataError(f"{what} must be of one type with the classes, without nulls") from None
    codes: npt.NDArray[np.intp] = order[places]
    bad = int(np.count_nonzero(known[codes] != values))
    if bad:
        raise DataError(f"{bad} of {len(values)} {what} are none of the classes {list(classes)}")
    return codes


def _errors(row: npt.NDArray[np.intp], found: Floats) -> Floats:
    """The errors [n, 2] of probabilities [n, k] for labels at the places [n] of their classes."""
    step = np.finfo(np.float64).eps
    right = np.take_along_axis(found, row[:, None], axis=1)[:, 0]
    loss = -np.log(np.clip(right / found.sum(axis=1), step, 1 - step))
    gaps = found.copy()
    gaps[np.arange(len(row)), row] -= 1
    # Summed over the classes (Brier 1950); of two it is halved, the error of one probability, as in
    # scikit-learn.
    squared = np.einsum("ij,ij->i", gaps, gaps)
    return np.stack([loss, squared / 2 if found.shape[1] < 3 else squared], axis=1)


def _check_probabilities(found: npt.NDArray[Any], classes: int) -> None:
    if found.ndim != 2 or found.shape[1] != classes:
        raise DataError(f"probabilities must be [rows, {classes}], not {list(found.shape)}")
    # Written so that NaN counts as bad; networks add up to 1 in single precision.
    good = (found >= 0).all(axis=1) & (np.abs(found.sum(axis=1) - 1) < 1e-4)
    bad = int(np.count_nonzero(~good))
    if bad:
        raise DataError(f"probabilities of {bad} of {len(found)} rows do not add up to 1")


def _divided(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return found


def _correlation(right: float, weight: float, actual: Floats, predicted: Floats) -> float:
    if not weight > 0:
        return math.nan
    spread = (weight**2 - float(predicted @ predicted)) * (weight**2 - float(actual @ actual))
    covered = right * weight - float(actual @ predicted)
    return covered / math.sqrt(spread) if spread > 0 else 0.0
