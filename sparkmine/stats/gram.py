"""The centred Gram matrix of a block of columns, by BLAS-3.

The rows of a block are shifted by the mean of all rows before it, multiplied by one symmetric
rank-k update (NumPy's `a.T @ a` is `syrk`), and corrected by their sums, so a large common mean
does not cancel; states are merged by the rule of Chan, Golub and LeVeque (1983) for co-moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from sparkmine.stats.base import Stat
from sparkmine.stats.matrix import DTYPES, Matrix, Ragged, matrix_of, refuse_gaps

# Rows of the first block whose mean is its shift.
_FIRST_ROWS = 4096


@dataclass(frozen=True, eq=False)
class GramState:
    """Co-moments of d columns.

    Attributes:
        mean: [d].
        gram: [d, d], sums of products of deviations; only their squares [d] above `Gram.largest`.
        invalid: Rows with null, NaN or infinite values, for each named column.
        widths: Columns of the matrix that each named column gives; None where no row told.
        ragged: A column whose rows differ in length.
    """

    count: int
    mean: np.ndarray
    gram: np.ndarray
    invalid: np.ndarray
    widths: tuple[int | None, ...] = ()
    ragged: Ragged | None = None

    @property
    def covariance(self) -> np.ndarray:
        """Population covariance [d, d]."""
        return self.gram / max(self.count, 1)

    @property
    def variance(self) -> np.ndarray:
        """Population variance [d]."""
        squares = np.diag(self.gram) if self.gram.ndim == 2 else self.gram
        return squares / max(self.count, 1)


@dataclass(frozen=True)
class Gram(Stat):
    """The Gram matrix of columns of numbers, lists of numbers or Spark's vectors, side by side.

    The answer raises DataError if a column holds null, NaN or infinite values, or rows of
    different lengths.

    Attributes:
        precision: `float64`; `float32` multiplies in that, in blocks summed as float64.
        largest: With more columns only the squares are summed; None for no limit.
    """

    names: tuple[str, ...]
    precision: str = "float64"
    largest: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def zero(self) -> GramState:
        """No rows; a named column counts as one of the matrix until a row tells."""
        size = len(self.names)
        unknown = (None,) * size
        return GramState(
            0, np.zeros(size), self._zeros(size), np.zeros(size, np.int64), unknown, None
        )

    def update(self, state: GramState, arrays: list[pa.Array]) -> GramState:
        block = matrix_of(self.names, arrays)
        if not block.rows:
            return state
        widths, ragged = _agreed(self.names, state, block.widths, block.ragged)
        state = replace(state, widths=widths, ragged=ragged)
        if ragged is not None or any(block.nulls) or state.invalid.any():
            # The answer will be an error that needs the counts of all columns, not the matrix.
            return replace(state, invalid=state.invalid + block.invalid())
        found = self._added(state, block)
        # What is not finite makes its sum so: no pass of its own looks for it.
        if np.isfinite(found.mean).all():
            return found
        invalid = block.invalid()
        return replace(state, invalid=invalid) if invalid.any() else found

    def _added(self, state: GramState, block: Matrix) -> GramState:
        """The state after the rows of a block that fits it."""
        dtype = DTYPES[self.precision]
        mean = state.mean if state.count else block.mean(_FIRST_ROWS)
        shift = mean.astype(dtype).astype(np.float64)
        size, count = len(shift), state.count + block.rows
        sums = np.zeros(size)
        gram = state.gram.copy() if state.count else self._zeros(size)
        # Values that are not finite are found afterwards, by what they make of the sums.
        with np.errstate(invalid="ignore", over="ignore"):
            for rows in block.shifted(shift, dtype):
                sums += np.ones(len(rows), dtype) @ rows
                gram += rows.T @ rows if gram.ndim == 2 else np.einsum("ij,ij->j", rows, rows)
            away = mean - shift
            if state.count and away.any():  # the shift was rounded
                gram += self._products(away * np.sqrt(state.count))
                sums += state.count * away
            gram -= self._products(sums / np.sqrt(count))
            squares = np.einsum("ii->i", gram) if gram.ndim == 2 else gram  # a view
            np.maximum(squares, 0.0, out=squares)  # constant columns may be below by rounding
            return replace(state, count=count, mean=shift + sums / count, gram=gram)

    def merge(self, a: GramState, b: GramState) -> GramState:
        widths, ragged = _agreed(self.names, a, b.widths, b.ragged)
        count, invalid = a.count + b.count, a.invalid + b.invalid
        if ragged is not None or not a.count or not b.count:
            kept = a if a.count else b
            return GramState(count, kept.mean, kept.gram, invalid, widths, ragged)
        delta = b.mean - a.mean
        with np.errstate(over="ignore"):
            gram = a.gram + b.gram + self._products(delta) * (a.count * b.count / count)
        mean = a.mean + delta * (b.count / count)
        return GramState(count, mean, gram, invalid, widths, None)

    def answer(self, state: GramState) -> GramState:
        if state.ragged is not None:
            raise state.ragged.error()
        refuse_gaps(self.names, state.invalid)
        return state

    def _zeros(self, size: int) -> np.ndarray:
        whole = self.largest is None or size <= self.largest
        return np.zeros((size, size) if whole else size)

    def _products(self, vector: np.ndarray) -> np.ndarray:
        whole = self.largest is None or len(vector) <= self.largest
        return np.outer(vector, vector) if whole else vector * vector


def _agreed(
    names: Sequence[str],
    state: GramState,
    widths: Sequence[int | None],
    ragged: Ragged | None,
) -> tuple[tuple[int | None, ...], Ragged | None]:
    """The widths of a state and of more rows, and the first column in which they differ."""
    ragged = state.ragged or ragged
    if ragged is None:
        for name, mine, other in zip(names, state.widths, widths, strict=True):
            if mine is not None and other is not None and mine != other:
                ragged = ragged or Ragged(column=name, expected=mine, found=other)
    both = zip(state.widths, widths, strict=True)
    return tuple(mine if mine is not None else other for mine, other in both), ragged
