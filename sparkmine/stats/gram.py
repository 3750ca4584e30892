"""The centred Gram matrix of a block of numeric columns, by BLAS-3.

Each block is centred on its own mean before the product, and blocks are merged by the rule of
Chan, Golub and LeVeque for co-moments, so a large common mean does not cancel. Memory: d² floats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import DataError
from sparkmine.stats.base import Stat


@dataclass(frozen=True, eq=False)
class GramState:
    """`mean` [d]; `gram` [d, d] sum of products of deviations; `invalid` [d] bad values."""

    count: int
    mean: np.ndarray
    gram: np.ndarray
    invalid: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Population covariance [d, d]."""
        return self.gram / max(self.count, 1)


@dataclass(frozen=True)
class Gram(Stat):
    """The Gram matrix of scalar columns.

    The answer raises DataError if a column holds null, NaN or infinite values.
    """

    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def zero(self) -> GramState:
        size = len(self.names)
        return GramState(0, np.zeros(size), np.zeros((size, size)), np.zeros(size, np.int64))

    def update(self, state: GramState, arrays: list[pa.Array]) -> GramState:
        block = matrix(arrays)
        invalid = (~np.isfinite(block)).sum(axis=0)
        if invalid.any() or not len(block):
            # The answer will be an error that needs the counts of all columns, not the matrix.
            empty = self.zero()
            return self.merge(state, GramState(0, empty.mean, empty.gram, invalid))
        mean = block.mean(axis=0)
        centred = block - mean
        found = GramState(len(block), mean, centred.T @ centred, invalid)
        return self.merge(state, found)

    def merge(self, a: GramState, b: GramState) -> GramState:
        count, invalid = a.count + b.count, a.invalid + b.invalid
        if not a.count or not b.count:
            kept = a if a.count else b
            return GramState(count, kept.mean, kept.gram, invalid)
        delta = b.mean - a.mean
        gram = a.gram + b.gram + np.outer(delta, delta) * (a.count * b.count / count)
        return GramState(count, a.mean + delta * (b.count / count), gram, invalid)

    def answer(self, state: GramState) -> GramState:
        bad = {n: int(c) for n, c in zip(self.names, state.invalid, strict=True) if c}
        if bad:
            listed = ", ".join(f"{name} ({count})" for name, count in list(bad.items())[:5])
            raise DataError(
                f"null, NaN or infinite values in {listed}; impute these columns before"
            )
        return state


def matrix(arrays: list[pa.Array]) -> np.ndarray:
    """Scalar columns as one float64 matrix [rows, columns], nulls as NaN."""
    columns = [
        pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False) for array in arrays
    ]
    return np.column_stack(columns) if columns else np.zeros((0, 0))
