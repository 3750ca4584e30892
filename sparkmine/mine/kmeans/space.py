"""Where k-means computes: rows less the columns' means, as float32, and which row is which.

Subtracting the means costs no digits but saves those of a large common offset; one factor for all
columns, a power of two, keeps squares within float32. The shift is rounded to a small part of the
deviation, so that every way over the rows (in memory, by tasks, in any order) finds the same bits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkmine.errors import DataError
from sparkmine.stats.gram import GramState
from sparkmine.stats.matrix import matrix_of

Array = np.ndarray

# Deviations whose squares, and sums of squares, are numbers of float32 after the scaling.
_LARGEST = 1e30


@dataclass(frozen=True, eq=False, kw_only=True)
class Space:
    """The columns of a fit.

    Attributes:
        names: The columns.
        widths: Elements of each of them; together d.
        rows: How many there are.
        mean, deviation: [d], of the columns as they are.
        shift, scale: A row x becomes (x - shift) * scale.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    rows: int
    mean: Array
    deviation: Array
    shift: Array
    scale: float

    @classmethod
    def of(cls, names: Sequence[str], found: GramState) -> Space:
        """From the moments of the columns.

        Raises:
            DataError: no rows, no numbers, or numbers that are too large.
        """
        if not found.count:
            raise DataError(f"there are no rows to cluster by {', '.join(names)}")
        widths = tuple(width or 0 for width in found.widths)
        if not sum(widths):
            raise DataError(f"the lists in {', '.join(names)} have no elements")
        with np.errstate(invalid="ignore"):
            deviation = np.sqrt(found.variance)
        large = np.flatnonzero(~(deviation < _LARGEST))
        if len(large):
            name = _elements(names, widths)[int(large[0])]
            raise DataError(f"column {name!r} has values beyond {_LARGEST:g}; scale it before")
        widest = float(deviation.max())
        return cls(
            names=tuple(names),
            widths=widths,
            rows=found.count,
            mean=found.mean,
            deviation=deviation,
            shift=_rounded(found.mean, deviation),
            scale=math.ldexp(1.0, -round(math.log2(widest))) if widest > 0 else 1.0,
        )

    @property
    def elements(self) -> list[str]:
        """A name for each of the d numbers of a row."""
        return _elements(self.names, self.widths)

    @property
    def variance(self) -> float:
        """Mean variance of the d numbers, in this space."""
        return float(np.mean(self.deviation**2)) * self.scale**2

    def original(self, points: Array) -> Array:
        """Points of this space as the columns have them."""
        return np.asarray(points / self.scale + self.shift)

    def blocks(self, arrays: Sequence[pa.Array], size: int) -> list[Array]:
        """The rows of Arrow columns in this space, [at most size, d] each, one row after another.

        Raises:
            DataError: a column without numbers.
        """
        found = []
        factor = np.float32(self.scale)
        for rows in matrix_of(self.names, arrays).shifted(self.shift, np.float32):
            for begin in range(0, len(rows), size):
                found.append(np.multiply(rows[begin : begin + size], factor, order="C"))
        return found

    def digest(self, *arrays: Array) -> str:
        """Names the space with some points in it: statistics with equal digests are equal."""
        found = hashlib.sha256(f"{self.names}{self.scale}".encode())
        for array in (self.shift, *arrays):
            found.update(f"{array.dtype}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:32]


def row_ids(rows: Array) -> Array:
    """A hash [n] of each row [n, d] of float32: equal for equal rows, wherever they are read.

    A sum of products with odd numbers modulo 2^64: rows that differ in one place never collide.
    """
    odd = np.random.default_rng(20120827).integers(0, 2**63, rows.shape[1], np.uint64) * 2 + 1
    return np.asarray((rows + np.float32(0)).view(np.uint32).astype(np.uint64) @ odd)


def exponential(ids: Array, seed: int) -> Array:
    """A standard exponential variate [n] for each row: of the seed and the row alone.

    SplitMix64 (Steele, Lea and Flood 2014) makes a hash of both a uniform number.
    """
    with np.errstate(over="ignore"):
        mixed = ids + np.uint64(seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return np.asarray(-np.log(((mixed >> np.uint64(11)) + 0.5) * 2.0**-53))


def _rounded(mean: Array, deviation: Array) -> Array:
    """Means to a thousandth of the deviation; to float32 where all values are equal."""
    # The odd factors keep usual values (a deviation of 1, a mean of 0.5) off the edges of rounding.
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.exp2(np.ceil(np.log2(deviation * 1.37)) - 10)
        near = np.round(mean / unit + 0.2319) * unit
    return np.where(deviation > 0, near, mean.astype(np.float32).astype(np.float64))


def _elements(names: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        name if width == 1 else f"{name}[{place}]"
        for name, width in zip(names, widths, strict=True)
        for place in range(width)
    ]
