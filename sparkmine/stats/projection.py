"""The covariance of columns times a thin matrix: one pass of a subspace iteration.

It needs no d x d matrix: each block of rows X gives X^T (X W), two products of BLAS-3.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sparkmine.stats.base import Stat
from sparkmine.stats.matrix import DTYPES, matrix_of


@dataclass(frozen=True, kw_only=True)
class Projection(Stat):
    """(X - shift)^T ((X - shift) W) [d, l], summed over all rows.

    The columns must have been found valid, of d columns together, by a `Gram`. Equality and hash
    are those of a digest of the matrices, which are shipped to the tasks.

    Attributes:
        shift: [d].
        weights: W [d, l].
    """

    names: tuple[str, ...]
    precision: str = "float64"
    shift: np.ndarray = field(compare=False, repr=False)
    weights: np.ndarray = field(compare=False, repr=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for array in (self.shift, self.weights):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        object.__setattr__(self, "digest", digest.hexdigest()[:32])

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def zero(self) -> np.ndarray:
        return np.zeros(self.weights.shape)

    def update(self, state: Any, arrays: list[pa.Array]) -> np.ndarray:
        dtype = DTYPES[self.precision]
        weights = self.weights.astype(dtype)
        total = state.copy()
        for rows in matrix_of(self.names, arrays).shifted(self.shift, dtype):
            total += rows.T @ (rows @ weights)
        return total

    def merge(self, a: Any, b: Any) -> np.ndarray:
        return a + b
