"""Missing values. Null and NaN both count as missing; infinities do not."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sparkmine.expr import Expr, col, lit, when
from sparkmine.recipe.columns import NUMBER, TEXT
from sparkmine.recipe.operator import ColumnOperator
from sparkmine.recipe.selectors import Selector, categorical
from sparkmine.stats import Moments, Sketch, Stat


def _fill(column: str, value: float | None) -> Expr:
    number = col(column).cast("double")
    return when(number.is_null() | number.is_nan(), value).otherwise(number)


@dataclass(frozen=True, kw_only=True)
class ImputeMean(ColumnOperator):
    """Replace missing numbers by the mean of the finite ones (0 if there are none)."""

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        return _fill(column, moments.mean)


@dataclass(frozen=True, kw_only=True)
class ImputeMedian(ColumnOperator):
    """Replace missing numbers by the median of the finite ones (0 if there are none)."""

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        median = sketch.quantile(0.5)
        return _fill(column, 0.0 if median is None else median)


@dataclass(frozen=True, kw_only=True)
class ImputeConstant(ColumnOperator):
    """Replace missing text by a fixed word."""

    columns: Selector = field(default_factory=categorical)
    value: str = "missing"
    kind: ClassVar[str] = TEXT

    def fit(self, column: str) -> Expr:
        return when(col(column).is_null(), lit(self.value)).otherwise(col(column))


@dataclass(frozen=True, kw_only=True)
class MissingIndicator(ColumnOperator):
    """1 where a number is missing, else 0, in a column of its own."""

    output: str | None = "{}_missing"
    kind: ClassVar[str] = NUMBER

    def fit(self, column: str) -> Expr:
        number = col(column).cast("double")
        return when(number.is_null() | number.is_nan(), 1.0).otherwise(0.0)
