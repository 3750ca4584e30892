"""Outliers.

Values outside limits that the finite values of a column set. By `method`: `quantile`, the quantiles
`low` and `high`; `iqr`, the quartiles and `factor` (1.5) times their distance beyond (Tukey, 1977);
`zscore`, `factor` (3.0) standard deviations around the mean. A column without finite values has no
limits.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, lit, when
from sparkmine.recipe.operator import ColumnOperator
from sparkmine.recipe.operators.scale import spread
from sparkmine.stats import Moments, Sketch, Stat

_FACTORS = {"quantile": None, "iqr": 1.5, "zscore": 3.0}
Limits = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class _Limited(ColumnOperator):
    """Base of operators that know limits."""

    method: str = "quantile"
    low: float = 0.01
    high: float = 0.99
    factor: float | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.method not in _FACTORS:
            raise RecipeError(f"{name} wants method as {', '.join(_FACTORS)}, not {self.method!r}")
        if not 0.0 <= self.low < self.high <= 1.0:
            raise RecipeError(f"{name} wants 0 <= low < high <= 1, not {self.low} and {self.high}")
        if self.factor is not None and self.method == "quantile":
            raise RecipeError(f"{name} takes factor= only with method iqr or zscore")
        if self.factor is not None and not 0.0 < self.factor < math.inf:
            raise RecipeError(f"{name} wants factor above 0, not {self.factor}")

    def limits(self, column: str) -> Generator[Stat, Any, Limits | None]:
        """The lowest and the highest value inside; None for a column without finite values."""
        factor = self.factor if self.factor is not None else _FACTORS[self.method] or 0.0
        if self.method == "zscore":
            moments = yield Moments(column)
            if not moments.count:
                return None
            if spread(moments.mean, moments.deviation) != moments.deviation:
                # A constant column: its mean may differ from its value by a rounding error.
                return moments.minimum, moments.maximum
            width = factor * moments.deviation
            return moments.mean - width, moments.mean + width
        sketch = yield Sketch(column)
        shares = (0.25, 0.75) if self.method == "iqr" else (self.low, self.high)
        low, high = sketch.quantiles(*shares)
        if low is None:
            return None
        width = factor * (high - low)
        return low - width, high + width


@dataclass(frozen=True, kw_only=True)
class Clip(_Limited):
    """Limit numbers to a range found by `method`: quantile, iqr or zscore.

    `quantile` takes the quantiles `low` and `high`; `iqr` the quartiles and `factor` (1.5) times
    their distance beyond; `zscore` `factor` (3.0) deviations around the mean. Infinities go to
    the ends; null and NaN stay; a column without finite values stays as it is, and a constant one
    is limited to its value.
    """

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        limits = yield from self.limits(column)
        number = col(column).cast("double")
        if limits is None:
            return number
        low, high = limits
        clipped = when(number < low, low).when(number > high, high).otherwise(number)
        return when(number.is_nan(), number).otherwise(clipped)


@dataclass(frozen=True, kw_only=True)
class OutlierIndicator(_Limited):
    """1 where a number is outside the limits of `method` (as for Clip), else 0, in its own column.

    Infinities are outside; null and NaN are 0, and so is all of a column without finite values.
    """

    output: str | None = "{}_outlier"

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        limits = yield from self.limits(column)
        if limits is None:
            return lit(0.0)
        number = col(column).cast("double")
        outside = (number < limits[0]) | (number > limits[1])
        return when(number.is_nan(), 0.0).when(outside, 1.0).otherwise(0.0)
