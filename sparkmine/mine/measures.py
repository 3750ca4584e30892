"""Measures of association rules, from counts of baskets.

For antecedent A and consequent C, with supports as shares of all baskets:
confidence = s(AC) / s(A); lift = confidence / s(C); leverage = s(AC) - s(A) s(C);
conviction = (1 - s(C)) / (1 - confidence) (Brin, Motwani, Ullman and Tsur, SIGMOD 1997), which is
infinite, and given as null, for rules that always hold (confidence 1);
zhang = leverage / max(s(AC) (1 - s(A)), s(A) (s(C) - s(AC))) (Zhang, "Association Rules", PAKDD
2000), from -1, never together, to 1; 0 where A or C is in every basket, which says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from sparkmine.mine.eclat import Array

Measure: TypeAlias = "Callable[[Array, Array, Array, int], Array]"
Ranges: TypeAlias = Mapping[str, tuple[float | None, float | None]]

# Rules that are measured at a time.
_STEP = 1 << 14


def _confidence(both: Array, left: Array, right: Array, baskets: int) -> Array:
    return both / left


def _support(both: Array, left: Array, right: Array, baskets: int) -> Array:
    return both / baskets


def _lift(both: Array, left: Array, right: Array, baskets: int) -> Array:
    return both / left / (right / baskets)


def _leverage(both: Array, left: Array, right: Array, baskets: int) -> Array:
    # One difference of whole numbers: exactly 0 for sides that are independent.
    return (both * float(baskets) - left * right.astype(float)) / baskets**2


def _conviction(both: Array, left: Array, right: Array, baskets: int) -> Array:
    missed = left - both
    chance = (baskets - right) / baskets * left
    return np.where(missed == 0, np.inf, chance / np.where(missed == 0, 1, missed))


def _zhang(both: Array, left: Array, right: Array, baskets: int) -> Array:
    largest = np.maximum(both * (baskets - left.astype(float)), left * (right - both).astype(float))
    excess = both * float(baskets) - left * right.astype(float)
    return np.where(largest == 0, 0.0, excess / np.where(largest == 0, 1, largest))


MEASURES: dict[str, Measure] = {
    "support": _support,
    "confidence": _confidence,
    "lift": _lift,
    "leverage": _leverage,
    "conviction": _conviction,
    "zhang": _zhang,
}


def check_ranges(ranges: Ranges) -> None:
    """Raise ConfigError for what is no measure, or a range that nothing can be in."""
    for name, bounds in ranges.items():
        if name not in MEASURES:
            raise ConfigError(f"filters: no measure {name!r}; they are {', '.join(MEASURES)}")
        low, high = bounds
        if low != low or high != high or (low is not None and high is not None and low > high):
            raise ConfigError(f"filters: {name} is to be at least {low} and at most {high}")


def within(
    ranges: Ranges, both: Array, left: Array, right: Array, baskets: int, kept: Array
) -> Array:
    """`kept`, without the rules that have a measure outside its range."""
    for name, (low, high) in ranges.items():
        values = MEASURES[name](both, left, right, baskets)
        if low is not None:
            kept = kept & (values >= low)
        if high is not None:
            kept = kept & (values <= high)
    return kept


def measured(name: str, both: Array, left: Array, right: Array, baskets: int) -> Array:
    """One measure of all rules, some at a time: what is between stays in the processor's cache."""
    found = np.empty(len(both))
    for begin in range(0, len(both), _STEP):
        part = slice(begin, begin + _STEP)
        found[part] = MEASURES[name](both[part], left[part], right[part], baskets)
    return found


def column(name: str, both: Array, left: Array, right: Array, baskets: int) -> pa.Array:
    """One measure of all rules as an Arrow column; an infinite conviction is null."""
    values = measured(name, both, left, right, baskets)
    finite = np.isfinite(values)
    return pa.array(values, mask=None if finite.all() else ~finite)
