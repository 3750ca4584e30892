"""Scale and shape of numbers. Null stays null and NaN stays NaN."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, function, when
from sparkmine.recipe.operator import ColumnOperator
from sparkmine.stats import Moments, Sketch, Stat


@dataclass(frozen=True, kw_only=True)
class Standardize(ColumnOperator):
    """Subtract the mean and divide by the standard deviation (by 1 for a constant column)."""

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        # A deviation that is rounding noise of the mean would blow a constant column up.
        noise = 1e-12 * max(abs(moments.mean), 1e-300)
        deviation = moments.deviation if moments.deviation > noise else 1.0
        return (col(column) - moments.mean) / deviation


@dataclass(frozen=True, kw_only=True)
class LogTransform(ColumnOperator):
    """sign(x) · log(1 + |x|), for heavy tails; defined for all numbers."""

    def fit(self, column: str) -> Expr:
        number = col(column).cast("double")
        size = function("log1p", function("abs", number))
        return when(number < 0.0, -size).otherwise(size)


@dataclass(frozen=True, kw_only=True)
class Clip(ColumnOperator):
    """Limit numbers to the range between two quantiles; infinities go to its ends."""

    low: float = 0.01
    high: float = 0.99

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise RecipeError(f"Clip wants 0 <= low < high <= 1, not {self.low} and {self.high}")

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        low, high = sketch.quantiles(self.low, self.high)
        number = col(column).cast("double")
        if low is None:
            return number
        clipped = when(number < low, low).when(number > high, high).otherwise(number)
        return when(number.is_nan(), number).otherwise(clipped)
