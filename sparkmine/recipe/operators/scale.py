"""Scale and shape of numbers.

Null stays null and NaN stays NaN; statistics are over finite values. Infinities stay infinite,
except where an operator says otherwise. A column without finite values stays as it is, a constant
column becomes one constant.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, function, when
from sparkmine.recipe.operator import ColumnOperator
from sparkmine.stats import Moments, Sketch, Stat
from sparkmine.stats.power import PowerMoments

# λ is looked for from -5 to 5: each round 41 candidates, around the best of the round before.
_LIMIT = 5.0
_STEPS = (0.25, 0.25 / 20, 0.25 / 400)
_CANDIDATES = 41


@dataclass(frozen=True, kw_only=True)
class Standardize(ColumnOperator):
    """Subtract the mean and divide by the standard deviation (by 1 for a constant column).

    Both over finite values; null, NaN and infinities stay. A constant column becomes 0, one
    without finite values stays as it is.
    """

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        return (col(column) - moments.mean) / spread(moments.mean, moments.deviation)


def spread(mean: float, deviation: float) -> float:
    """The deviation, or 1 where it is none: rounding noise of the mean would blow it up."""
    noise = 1e-12 * max(abs(mean), 1e-300)
    return deviation if noise < deviation < math.inf else 1.0


@dataclass(frozen=True, kw_only=True)
class MinMaxScale(ColumnOperator):
    """Map the range of the finite values to `low` ... `high`; a constant column becomes `low`.

    Later values outside the range of the fit lie outside `low` ... `high`. Null, NaN and
    infinities stay; a column without finite values stays as it is.
    """

    derivable: ClassVar[bool] = True

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise RecipeError(f"MinMaxScale wants low < high, not {self.low} and {self.high}")

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        if not moments.count:
            return col(column).cast("double")
        width = moments.maximum - moments.minimum
        share = (col(column) - moments.minimum) / (width or 1.0)
        return share * (self.high - self.low) + self.low


@dataclass(frozen=True, kw_only=True)
class MaxAbsScale(ColumnOperator):
    """Divide by the largest size of the finite values (by 1 if it is 0); zeros stay zeros.

    Null, NaN and infinities stay; a column without finite values stays as it is.
    """

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        if not moments.count:
            return col(column).cast("double")
        return col(column) / (max(abs(moments.minimum), abs(moments.maximum)) or 1.0)


@dataclass(frozen=True, kw_only=True)
class RobustScale(ColumnOperator):
    """Subtract the median and divide by the interquartile range (by 1 where that is 0).

    Both over finite values; null, NaN and infinities stay. A constant column becomes 0, one
    without finite values stays as it is.
    """

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        low, median, high = sketch.quantiles(0.25, 0.5, 0.75)
        if median is None:
            return col(column).cast("double")
        return (col(column) - median) / ((high - low) or 1.0)


@dataclass(frozen=True, kw_only=True)
class LogTransform(ColumnOperator):
    """sign(x) · log(1 + |x|), for heavy tails; defined for all numbers.

    Null, NaN and infinities stay. Nothing is fitted.
    """

    def fit(self, column: str) -> Expr:
        number = col(column).cast("double")
        size = function("log1p", function("abs", number))
        return when(number < 0.0, -size).otherwise(size)


@dataclass(frozen=True, kw_only=True)
class PowerTransform(ColumnOperator):
    """The power of Yeo and Johnson (2000) that makes a column most like a normal distribution.

    λ has the greatest likelihood over the finite values, between -5 and 5, to about 1e-3; it takes
    three scans. `standardize` then gives mean 0 and deviation 1. A constant or empty column has
    λ = 1, which changes nothing. Null and NaN stay; infinities follow the formula: they stay
    infinite or go to its limit.
    """

    standardize: bool = True

    @property
    def asks(self) -> int:
        """How often it asks for statistics, one scan after the other."""
        return len(_STEPS)

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        best = 0.0
        for step in _STEPS:
            offsets = (np.arange(_CANDIDATES) - _CANDIDATES // 2) * step
            candidates = np.unique(np.clip(best + offsets, -_LIMIT, _LIMIT).round(9)).tolist()
            state = yield PowerMoments(column, tuple(candidates))
            index = int(state.likelihood.argmax())
            if not np.isfinite(state.likelihood[index]):  # a constant or empty column
                index = candidates.index(1.0)
                best = 1.0
                break
            best = candidates[index]
        power = yeo_johnson(col(column).cast("double"), best)
        if not self.standardize:
            return power
        mean, variance = float(state.mean[index]), float(state.m2[index]) / max(state.count, 1)
        return (power - mean) / spread(mean, math.sqrt(variance))


def yeo_johnson(number: Expr, power: float) -> Expr:
    """The transform by λ = `power`; see `stats/power.py` for the formula."""
    if power == 1.0:
        return number
    size = function("log1p", function("abs", number))

    def side(exponent: float) -> Expr:
        return function("expm1", size * exponent) / exponent if exponent else size

    return when(number < 0.0, -side(2.0 - power)).otherwise(side(power))


@dataclass(frozen=True, kw_only=True)
class QuantileTransform(ColumnOperator):
    """The share of the column at or below a value, from 0 to 1: its uniform distribution.

    Linear between `quantiles` quantiles of the fit. Values outside the range of the fit, and
    infinities, are 0 or 1; a value that holds several quantiles gets their middle, at the ends
    0 or 1. A constant column becomes 0, and so do later values of one without finite values. Null
    and NaN stay.
    """

    quantiles: int = 100

    def __post_init__(self) -> None:
        if self.quantiles < 2:
            raise RecipeError(f"QuantileTransform wants at least 2 quantiles, not {self.quantiles}")

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        shares = np.linspace(0.0, 1.0, self.quantiles)
        values = sketch.quantiles(*shares.tolist())
        number = col(column).cast("double")
        if values[0] is None or values[0] == values[-1]:
            return number.interpolate([0.0 if values[0] is None else values[0]], [0.0])
        starts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(values)) if a < b)]
        ends = [*(start - 1 for start in starts[1:]), len(values) - 1]
        middles = [(shares[a] + shares[b]) / 2 for a, b in zip(starts, ends, strict=True)]
        middles[0], middles[-1] = 0.0, 1.0
        return number.interpolate([values[start] for start in starts], middles)
