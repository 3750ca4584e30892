"""Metrics of predicted numbers: MSE, RMSE, MAE and R², from sums over rows.

R² is 1 minus the squared errors over the squared deviations of the labels from their mean; NaN
where the labels do not differ. Deviations are summed around a number near the mean, so that labels
far from 0 lose no digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.metrics import Floats, Options, Sample, Summed, pair_shapes, ratio

_WEIGHT, _SQUARED, _ABSOLUTE, _DEVIATION, _SQUARED_DEVIATION = range(5)


@dataclass(frozen=True, kw_only=True)
class Predicted(Summed):
    """Labels and predicted numbers of n rows.

    Fields:
        centre: what the deviations in `terms` are from.
    """

    metrics: ClassVar[Mapping[str, str]] = {
        "rmse": "RMSE",
        "mse": "MSE",
        "mae": "MAE",
        "r2": "R²",
    }
    primary: ClassVar[str] = "rmse"

    centre: float

    @classmethod
    def of(cls, labels: npt.ArrayLike, predictions: npt.ArrayLike, options: Options) -> Self:
        """Check the rows.

        Raises:
            DataError: no rows, or a label or prediction that is no finite number.
        """
        truth = np.asarray(labels, dtype=np.float64)
        found = np.asarray(predictions, dtype=np.float64)
        if found.ndim != 1:
            raise DataError(f"predictions are one number a row, not {found.shape}")
        pair_shapes(truth, found)
        for what, values in (("labels", truth), ("predictions", found)):
            bad = int(np.count_nonzero(~np.isfinite(values)))
            if bad:
                raise DataError(f"{what} must be finite numbers; {bad} of {len(values)} are not")
        centre = float(truth.mean())
        error, deviation = truth - found, truth - centre
        columns = [np.ones_like(truth), error**2, np.abs(error), deviation, deviation**2]
        return cls(terms=np.stack(columns, axis=1), centre=centre)

    def weight(self, weights: Floats) -> float:
        return float(self.sums(weights)[_WEIGHT])

    def from_sums(
        self, names: Sequence[str], sums: Floats, ranked_weights: Floats | None
    ) -> dict[str, float]:
        weight = float(sums[_WEIGHT])
        mse = ratio(float(sums[_SQUARED]), weight)
        spread = float(sums[_SQUARED_DEVIATION]) - ratio(float(sums[_DEVIATION]) ** 2, weight)
        # What rounding leaves of equal labels is no spread.
        known = spread > 1e-12 * float(sums[_SQUARED_DEVIATION])
        values = {
            "mse": mse,
            "rmse": math.sqrt(mse) if mse >= 0 else math.nan,
            "mae": ratio(float(sums[_ABSOLUTE]), weight),
            "r2": 1 - float(sums[_SQUARED]) / spread if known else math.nan,
        }
        return {name: values[name] for name in names}

    def compact(self, weights: Floats) -> Sample:
        """One row that holds the sums."""
        sums = self.sums(weights)[None, :]
        return Sample(outcomes=Predicted(terms=sums, centre=self.centre), weights=np.ones(1))

    @property
    def options(self) -> Options:
        return Options()

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        return {"terms": self.terms, "centre": np.full(len(self.terms), self.centre)}

    @classmethod
    def of_columns(cls, columns: Mapping[str, npt.NDArray[Any]], options: Options) -> Self:
        terms, centres = columns["terms"].copy(), columns["centre"]
        weight, deviation = terms[:, _WEIGHT], terms[:, _DEVIATION]
        # One centre for all: every deviation grows by how much lower it is than the row's own.
        known = weight.sum() > 0
        centre = float(np.average(centres, weights=weight) if known else centres.mean())
        by = centres - centre
        terms[:, _SQUARED_DEVIATION] += 2 * by * deviation + weight * by**2
        terms[:, _DEVIATION] = deviation + weight * by
        return cls(terms=terms, centre=centre)
