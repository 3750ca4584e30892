"""What a candidate did on the folds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from sparkmine.selection.candidates import Parameters


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A candidate on one fold: its score, or the error that it raised."""

    score: float = math.nan
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class Trial:
    """A candidate and how it did.

    Attributes:
        number: Its place in the grid or among the draws, from 0.
        scores: The metric on the test rows of each fold; empty if a fit failed.
        seconds: Of all its fits and predictions together.
        error: What was raised first; None if nothing was.
    """

    number: int
    parameters: Parameters
    scores: tuple[float, ...]
    seconds: float
    error: str | None = None

    @classmethod
    def of(cls, number: int, parameters: Parameters, folds: list[Measured]) -> Self:
        """From its folds."""
        error = next((fold.error for fold in folds if fold.error is not None), None)
        scores = () if error is not None else tuple(fold.score for fold in folds)
        return cls(number, parameters, scores, sum(fold.seconds for fold in folds), error)

    @classmethod
    def failed(cls, number: int, parameters: Parameters, error: Exception) -> Self:
        """One that could not even be tried."""
        return cls(number, parameters, (), 0.0, str(error))

    @cached_property
    def mean(self) -> float:
        """Mean score; NaN if the trial failed, or the metric is not defined on a fold."""
        return float(np.mean(self.scores)) if self.scores else math.nan

    @cached_property
    def standard_error(self) -> float:
        """Of the mean, as if folds were independent samples, which they are not quite."""
        if len(self.scores) < 2:
            return math.nan
        return float(np.std(self.scores, ddof=1) / math.sqrt(len(self.scores)))

    def describe(self) -> dict[str, Any]:
        """As JSON values; what is not defined is None."""
        found = {**asdict(self), "mean": self.mean, "standard_error": self.standard_error}
        return {name: _json(value) for name, value in found.items()}


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_json(item) for item in value] if isinstance(value, tuple) else value
