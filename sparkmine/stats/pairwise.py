"""Correlations of columns with missing values: each pair over the rows that have both.

`Gram` wants complete rows. Here a pair has its own count, means and co-moments, which are five
products of the values and their presence. Blocks are shifted by the means of the rows before them
and merged by the rule of Chan, Golub and LeVeque (1983), so a large common mean does not cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import Stat


@dataclass(frozen=True, eq=False)
class PairwiseState:
    """Of d columns, each [d, d]; row i and column j are about the rows in which i and j are finite.

    Attributes:
        count: Those rows.
        mean: The mean of i over them.
        squares: The sum of squared deviations of i over them.
        products: The sum of products of the deviations of i and j.
    """

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    products: np.ndarray

    @property
    def correlation(self) -> np.ndarray:
        """Pearson's correlation [d, d]; NaN where a pair has fewer than 2 rows or is constant."""
        with np.errstate(divide="ignore", invalid="ignore"):
            # What is left of a constant by rounding is no variance.
            noise = self.count * (1e-14 * np.abs(self.mean)) ** 2
            squares = np.where((self.count > 1) & (self.squares > noise), self.squares, np.nan)
            return np.clip(self.products / np.sqrt(squares * squares.T), -1.0, 1.0)


@dataclass(frozen=True)
class Pairwise(Stat):
    """Co-moments of columns of numbers; nulls, NaN and infinities are left out pair by pair."""

    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def zero(self) -> PairwiseState:
        size = (len(self.names), len(self.names))
        return PairwiseState(np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size))

    def update(self, state: PairwiseState, arrays: list[pa.Array]) -> PairwiseState:
        values = np.column_stack(
            [pc.cast(a, pa.float64(), safe=False).to_numpy(zero_copy_only=False) for a in arrays]
        )
        finite = np.isfinite(values)
        present = finite.astype(np.float64)
        shift = np.where(finite, values, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1.0)
        values = np.where(finite, values - shift, 0.0)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            count = present.T @ present
            mean = np.where(count > 0, (values.T @ present) / count, 0.0)
            squares = (values * values).T @ present - count * mean * mean
            products = values.T @ values - count * mean * mean.T
        found = PairwiseState(
            count, np.where(count > 0, mean + shift[:, None], 0.0), np.maximum(squares, 0), products
        )
        return self.merge(state, found)

    def merge(self, a: PairwiseState, b: PairwiseState) -> PairwiseState:
        count = a.count + b.count
        share = b.count / np.maximum(count, 1.0)
        delta = np.where((a.count > 0) & (b.count > 0), b.mean - a.mean, 0.0)
        away = a.count * share
        return PairwiseState(
            count,
            np.where(a.count > 0, a.mean + delta * share, b.mean),
            a.squares + b.squares + delta * delta * away,
            a.products + b.products + delta * delta.T * away,
        )
