"""How well power transforms make a column normal: all candidates of one scan.

Yeo and Johnson, "A New Family of Power Transformations to Improve Normality or Symmetry" (2000).
The transform of x by λ is written with s = log(1 + |x|): (exp(λs) - 1) / λ from 0 up, and
-(exp((2-λ)s) - 1) / (2-λ) below; where the divisor is 0 it is s and -s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkmine.stats.base import Stat
from sparkmine.stats.numbers import finite_values


@dataclass(frozen=True, eq=False)
class PowerState:
    """Moments of the transformed values for each of the L candidates.

    Attributes:
        count: Finite values.
        mean: [L].
        m2: [L], sums of squared deviations from the mean.
        logs: Sum of sign(x) · log(1 + |x|).
    """

    lambdas: tuple[float, ...]
    count: int
    mean: np.ndarray
    m2: np.ndarray
    logs: float

    @property
    def likelihood(self) -> np.ndarray:
        """The log-likelihood of each candidate, [L]; -inf where it is not defined."""
        with np.errstate(all="ignore"):
            variance = self.m2 / max(self.count, 1)
            noise = (1e-12 * np.abs(self.mean)) ** 2
            found = -0.5 * self.count * np.log(variance)
            found += (np.asarray(self.lambdas) - 1.0) * self.logs
            return np.where((variance > noise) & np.isfinite(found), found, -np.inf)


@dataclass(frozen=True)
class PowerMoments(Stat):
    """Moments of the Yeo-Johnson transforms of one numeric column by several λ."""

    column: str
    lambdas: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> PowerState:
        size = len(self.lambdas)
        return PowerState(self.lambdas, 0, np.zeros(size), np.zeros(size), 0.0)

    def update(self, state: PowerState, arrays: list[pa.Array]) -> PowerState:
        numbers = finite_values(arrays[0])
        if not len(numbers):
            return state
        above, below = np.log1p(numbers[numbers >= 0]), np.log1p(-numbers[numbers < 0])
        mean, m2 = np.zeros(len(self.lambdas)), np.zeros(len(self.lambdas))
        with np.errstate(all="ignore"):  # what overflows is no candidate
            for index, power in enumerate(self.lambdas):
                values = np.concatenate((_side(above, power), -_side(below, 2.0 - power)))
                mean[index] = values.mean()
                m2[index] = np.square(values - mean[index]).sum()
        logs = float(above.sum() - below.sum())
        return self.merge(state, PowerState(self.lambdas, len(numbers), mean, m2, logs))

    def merge(self, a: PowerState, b: PowerState) -> PowerState:
        if not a.count or not b.count:
            return a if a.count else b
        count = a.count + b.count
        share = b.count / count
        with np.errstate(all="ignore"):
            delta = b.mean - a.mean
            mean = a.mean + delta * share
            m2 = a.m2 + b.m2 + delta * delta * a.count * share
        return PowerState(self.lambdas, count, mean, m2, a.logs + b.logs)


def _side(logs: np.ndarray, exponent: float) -> np.ndarray:
    return np.expm1(exponent * logs) / exponent if exponent else logs
