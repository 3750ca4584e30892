"""Leading eigenvectors of a covariance matrix: exact, or from products with it alone.

The randomized way is that of Halko, Martinsson and Tropp (2011): a random block of vectors, a few
more than wanted, is multiplied by the covariance again and again. All the blocks are kept, as
Halko, Martinsson, Shkolnisky and Tygert (2011) do: the best vectors in the space of all of them
(Rayleigh and Ritz) converge in far fewer passes than the last block alone.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkmine.stats import Stat
from sparkmine.stats.projection import Projection

# Residual of an eigenvector, relative to the largest eigenvalue, at which the passes end.
_CLOSE = {"float64": 1e-10, "float32": 1e-6}


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectrum:
    """Eigenvalues [m], from the largest, and the vectors [d, m] of norm 1.

    The entry of largest size of every vector is positive. `passes` over the data were needed
    beside the first one.
    """

    values: np.ndarray
    vectors: np.ndarray
    passes: int

    @classmethod
    def of(cls, values: np.ndarray, vectors: np.ndarray, passes: int) -> Spectrum:
        """From eigenvalues in rising order."""
        values, vectors = np.clip(values[::-1], 0.0, None), vectors[:, ::-1]
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
        return cls(values=values, vectors=vectors * np.where(largest < 0, -1.0, 1.0), passes=passes)


def exact(covariance: np.ndarray) -> Spectrum:
    """All eigenvectors of a symmetric matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return Spectrum.of(values, vectors, 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Products:
    """Products with the covariance matrix of (x - shift) / scale, each a pass over `count` rows."""

    names: Sequence[str]
    precision: str
    shift: np.ndarray
    scale: np.ndarray
    count: int

    def times(self, block: np.ndarray) -> Generator[list[Stat], list[Any], np.ndarray]:
        """The covariance [d, d] times a block [d, l]."""
        scale = self.scale[:, None]
        (found,) = yield [
            Projection(
                names=tuple(self.names),
                precision=self.precision,
                shift=self.shift,
                weights=block / scale,
            )
        ]
        return np.asarray(found / scale / self.count)


def randomized(
    products: Products, wanted: int, *, oversampling: int, iterations: int, seed: int
) -> Generator[list[Stat], list[Any], Spectrum]:
    """The `wanted` leading eigenvectors; at most `iterations` + 1 passes, fewer when they are
    found to 1e-10 of the largest eigenvalue (1e-6 in float32)."""
    size = len(products.shift)
    generator = np.random.default_rng(seed)
    block = _orthonormal(generator.standard_normal((size, min(wanted + oversampling, size))))
    basis = images = np.zeros((size, 0))
    passes = 0
    while True:
        image = yield from products.times(block)
        basis, images = np.hstack([basis, block]), np.hstack([images, image])
        small = basis.T @ images
        values, turn = np.linalg.eigh((small + small.T) / 2)
        values, turn = values[-wanted:], turn[:, -wanted:]
        vectors = basis @ turn
        away = np.linalg.norm(images @ turn - vectors * values, axis=0).max()
        left, passes = size - basis.shape[1], passes + 1
        close = away <= _CLOSE[products.precision] * values[-1]
        if close or not left or passes > iterations:
            return Spectrum.of(values, vectors, passes)
        rest = image[:, : min(left, image.shape[1])]
        for _ in range(2):  # once more, as the first leaves rounding errors
            rest = _orthonormal(rest - basis @ (basis.T @ rest))
        block = rest


def _orthonormal(block: np.ndarray) -> np.ndarray:
    return np.linalg.qr(block)[0]
