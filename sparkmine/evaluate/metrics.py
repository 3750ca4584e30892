"""What the metrics of all tasks share: rows that can be measured with any weights, and names.

Every metric is a function of sums over rows (right answers, squared errors, ...); the ranked ones
also of the counts of positives and negatives above each distinct probability. Both are linear in
the row weights once the rows are sorted, so a bootstrap (`intervals`) sorts once and then only
reweighs. Definitions are scikit-learn's. What is not defined on the rows is NaN.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError

Floats = npt.NDArray[np.float64]

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "mse", "rmse", "mae"})


@dataclass(frozen=True, kw_only=True)
class Options:
    """How predictions are read.

    Fields:
        threshold: from this probability on, the prediction is class 1 (binary).
        classes: the labels in order (multiclass); None for those that occur.
        ranked: whether ranked metrics will be asked for, for which rows must be kept (multiclass).
    """

    threshold: float = 0.5
    classes: tuple[Any, ...] | None = None
    ranked: bool = True


@dataclass(frozen=True, kw_only=True)
class Outcomes(ABC):
    """Labels and predictions of n rows of one task, ready to be measured with any weights.

    Fields:
        order: [n] the rows as ranked metrics need them; None where there are none.
    """

    metrics: ClassVar[Mapping[str, str]]  # names, and how reports write them
    primary: ClassVar[str]  # the metric by which models are compared unless told otherwise
    ranked_metrics: ClassVar[frozenset[str]] = frozenset()

    order: npt.NDArray[np.intp] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    def weight(self, weights: Floats) -> float:
        """What the rows count together: of compacted rows, those that they stand for."""
        return float(weights.sum())

    @abstractmethod
    def sums(self, weights: Floats) -> Floats:
        """Weighted sums [t] over the rows, from which metrics are made."""

    @classmethod
    @abstractmethod
    def of(cls, labels: npt.ArrayLike, predictions: npt.ArrayLike, options: Options) -> Self:
        """Check the rows.

        Raises:
            DataError: no rows, or values that the task does not know.
        """

    @abstractmethod
    def from_sums(
        self, names: Sequence[str], sums: Floats, ranked_weights: Floats | None
    ) -> dict[str, float]:
        """Metrics from weighted sums [t] and the weights [n] in ranked order."""

    @abstractmethod
    def compact(self, weights: Floats) -> Sample:
        """As few weighted rows as give the same metrics; samples of a task can be joined."""

    @property
    @abstractmethod
    def options(self) -> Options:
        """How the predictions were read."""

    @abstractmethod
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The least that the rows can be made of again: arrays [n] or [n, k] by name."""

    @classmethod
    @abstractmethod
    def of_columns(cls, columns: Mapping[str, npt.NDArray[Any]], options: Options) -> Self:
        """The rows of `columns`, which may be those of several `columns()` one after the other."""

    @classmethod
    def stacked(cls, samples: Sequence[Sample]) -> Sample:
        """The rows of all samples, one after the other."""
        found = [sample.columns() for sample in samples]
        whole = {name: np.concatenate([columns[name] for columns in found]) for name in found[0]}
        return Sample.of_columns(cls, whole, samples[0].outcomes.options)

    @classmethod
    def join(cls, samples: Sequence[Sample]) -> Sample:
        """The rows of all samples, compacted together."""
        if len(samples) == 1:
            return samples[0]
        found = cls.stacked(samples)
        return found.outcomes.compact(found.weights)

    def group_sums(
        self, codes: npt.NDArray[np.intp], count: int, weights: Floats
    ) -> Callable[[Floats], Floats]:
        """From multiplicities [r, count] of the groups, of r resamples, to weighted sums [r, t].

        Args:
            codes: [n] the group of each row.
        """
        return lambda several: np.stack([self.sums(weights * one.take(codes)) for one in several])

    @classmethod
    def needs_ranks(cls, names: Sequence[str]) -> bool:
        """Whether any of the metrics depends on the order of the rows and not only on sums."""
        return not cls.ranked_metrics.isdisjoint(names)

    @classmethod
    def check_names(cls, names: Sequence[str]) -> tuple[str, ...]:
        """The names as a tuple, or a DataError that lists the metrics there are."""
        unknown = [name for name in names if name not in cls.metrics]
        if unknown:
            raise DataError(
                f"unknown metric {', '.join(unknown)}; there are {', '.join(cls.metrics)}"
            )
        return tuple(names)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows with their weights [n]."""

    outcomes: Outcomes
    weights: Floats

    @classmethod
    def of_columns(
        cls, kind: type[Outcomes], columns: Mapping[str, npt.NDArray[Any]], options: Options
    ) -> Self:
        """The inverse of `columns`."""
        return cls(outcomes=kind.of_columns(columns, options), weights=columns["weight"])

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of the rows, and `weight`."""
        return {**self.outcomes.columns(), "weight": self.weights}

    def __reduce__(self) -> tuple[Any, ...]:
        # Orders and summands are five times the columns that they follow from.
        outcomes = self.outcomes
        return type(self).of_columns, (type(outcomes), self.columns(), outcomes.options)

    def measure(self, names: Sequence[str]) -> dict[str, float]:
        """The metrics of these rows."""
        found = self.outcomes
        ranked = None
        if found.needs_ranks(names) and found.order is not None:
            ranked = self.weights[found.order]
        return found.from_sums(names, found.sums(self.weights), ranked)


@dataclass(frozen=True, kw_only=True)
class Summed(Outcomes):
    """Outcomes with few sums, so that a bootstrap adds up groups and not rows.

    Fields:
        terms: [n, t] summands of each row.
    """

    terms: Floats

    def __len__(self) -> int:
        return len(self.terms)

    def sums(self, weights: Floats) -> Floats:
        return weighted_sums(weights, self.terms)

    def group_sums(
        self, codes: npt.NDArray[np.intp], count: int, weights: Floats
    ) -> Callable[[Floats], Floats]:
        columns = [totals(codes, weights * column, count) for column in self.terms.T]
        groups = np.stack(columns, axis=1)
        return lambda multiplicities: multiplicities @ groups


def weighted_sums(weights: Floats, terms: Floats) -> Floats:
    """Sums [t] of the rows of `terms` [n, t] by their weights [n]."""
    # Not `@`: BLAS would start its threads for every resample, which costs more than the product.
    sums: Floats = np.einsum("i,ij->j", weights, terms)
    return sums


def totals(codes: npt.NDArray[np.intp], values: Floats, count: int) -> Floats:
    """The sum [count] of the values [n] of each code."""
    found: Floats = np.bincount(codes, values, count).astype(np.float64, copy=False)
    return found


def row_weights(weights: npt.ArrayLike | None, rows: int) -> Floats:
    """Weights [rows], all 1 when None.

    Raises:
        DataError: another number of them, or one that is negative or NaN.
    """
    found = np.ones(rows) if weights is None else np.asarray(weights, np.float64)
    if found.shape != (rows,) or not np.all(found >= 0):
        raise DataError("weights must be as long as the labels, and not negative")
    return found


def pair_shapes(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> None:
    """Raise DataError unless there is one prediction, a number or some, for each label."""
    if labels.ndim != 1 or predictions.shape[:1] != labels.shape:
        raise DataError(
            f"labels and predictions must be two equally long arrays, not {labels.shape} and "
            f"{predictions.shape}"
        )
    if len(labels) == 0:
        raise DataError("there are no rows to evaluate; check the period of the test rows")


def ratio(part: float, whole: float) -> float:
    """The quotient; NaN where `whole` is 0."""
    return part / whole if whole > 0 else math.nan


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
