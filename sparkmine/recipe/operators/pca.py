"""Principal components, from the exact Gram matrix, or randomized for very many columns.

The components are the eigenvectors of the covariance matrix (Pearson, 1901; Hotelling, 1933). The
Gram matrix of d columns takes one scan and d² · 8 bytes in every process that holds one; products
with thin matrices take some scans more and no such matrix. Signs are deterministic: the entry of
largest size of every component is positive.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkmine.errors import DataError, RecipeError
from sparkmine.recipe.block import AffineBlock, BlockFunction
from sparkmine.recipe.columns import ARRAY, NUMBER, SPARSE, TEXT, TIME, VECTOR, ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.recipe.operators.scale import spread
from sparkmine.recipe.principal import Products, Spectrum, exact, randomized
from sparkmine.recipe.residual_block import ResidualBlock
from sparkmine.sessions import is_local
from sparkmine.stats import Gram, Stat
from sparkmine.stats.gram import GramState
from sparkmine.stats.spark_job import FAN_IN

METHODS = ("auto", "gram", "randomized")
PRECISIONS = ("float64", "float32")


@dataclass(frozen=True, kw_only=True)
class PCA(Operator):
    """Project the selected columns on their principal components, into one array column.

    Columns are numbers, lists of numbers or Spark's vectors, taken side by side. They are removed.
    `k` is the number of components, or, below 1, the share of variance that they must explain.
    There are never more components than directions in which the rows vary, which are at most as
    many as columns, and fewer than rows; rows that are all equal give one component, of zeros.
    Variances are those of the population: divided by the number of rows. Null, NaN and infinities
    are an error that names the columns, in the fit and afterwards, and so is a fit on no rows.

    Attributes:
        standardize: Divide every column by its deviation; constant columns are only centred.
        center: Subtract the mean; without it this is the truncated SVD of the rows as they are,
            and "variances" are mean squares.
        whiten: Divide every component by its deviation.
        method: `gram` is exact, in one scan; `randomized` takes up to `iterations` + 2 scans, for
            a whole `k`; `auto` is `gram` where the matrices fit `memory_limit`.
        memory_limit: Bytes of the Gram matrices that one machine or process holds at once.
        precision: `float32` multiplies the rows of a block in that, and sums in float64.
        error: A further column with each row's squared distance from the components' space, in
            deviations with `standardize`: an outlier score.
        oversampling: Vectors that the randomized method follows beside the k.
        iterations: Power iterations of the randomized method at most; it stops when it is exact.
        seed: Of its first vectors.
    """

    k: int | float = 10
    output: str | None = "pca"
    standardize: bool = False
    center: bool = True
    whiten: bool = False
    method: str = "auto"
    memory_limit: int = 1 << 30
    precision: str = "float64"
    error: str | None = None
    oversampling: int = 10
    iterations: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not (
            0 < self.k < 1 or (self.k >= 1 and self.k == int(self.k))
        ):
            raise RecipeError(f"PCA wants k as a whole number or a share below 1, not {self.k}")
        if not self.output or self.output == self.error:
            raise RecipeError("PCA needs the name of its array column as output=")
        if self.method not in METHODS or self.precision not in PRECISIONS:
            raise RecipeError(
                f"PCA wants method as one of {', '.join(METHODS)} and precision as one of "
                f"{', '.join(PRECISIONS)}, not {self.method!r} and {self.precision!r}"
            )
        if self.k < 1 and self.method == "randomized":
            raise RecipeError("PCA by the randomized method needs k as a whole number")
        if self.oversampling < 0 or self.iterations < 0:
            raise RecipeError("PCA wants oversampling and iterations of at least 0")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        names = tuple(column.name for column in picked)
        return self._infos(None, names), names

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        names = tuple(column.name for column in picked)
        if not names:
            raise RecipeError(f"PCA({self.columns}) selects no column")
        for column in picked:
            if column.kind in (TEXT, TIME, ARRAY, SPARSE):
                raise RecipeError(
                    f"PCA takes numbers and vectors; {column.name!r} is of kind {column.kind}"
                )
        (gram,) = yield [Gram(names, self.precision, self._largest())]
        if not gram.count or not len(gram.mean):
            raise DataError("PCA was given no rows, or only empty vectors, to fit on")
        shift = gram.mean if self.center else np.zeros_like(gram.mean)
        scale = _deviations(gram) if self.standardize else np.ones_like(gram.mean)
        squares = gram.variance + (gram.mean - shift) ** 2
        total = float((squares / scale**2).sum())
        if not math.isfinite(total):
            raise DataError(
                f"values of {', '.join(names[:5])} are too large: their squares are no numbers"
            )
        spectrum = yield from self._spectrum(names, gram, shift, scale)
        ratio = spectrum.values / (total or 1.0)
        # The square of what rounding leaves of a mean when it is subtracted.
        left = (8 * np.finfo(np.float64).eps * (gram.mean / scale)) ** 2
        k = self._number(spectrum, ratio, gram.count, float(left.max()) if self.center else 0.0)
        return Outcome(
            blocks=self._blocks(names, gram, shift, scale, spectrum, k),
            infos={info.name: info for info in self._infos(k, names)},
            dropped=names,
            details={
                "components": k,
                "method": "gram" if gram.gram.ndim == 2 else "randomized",
                "scans": 1 + spectrum.passes,
                "rows": gram.count,
                "columns": len(gram.mean),
                "explained_variance": spectrum.values.tolist(),
                "explained_variance_ratio": ratio.tolist(),
            },
        )

    def _spectrum(
        self, names: tuple[str, ...], gram: GramState, shift: np.ndarray, scale: np.ndarray
    ) -> Generator[list[Stat], list[Any], Spectrum]:
        if gram.gram.ndim == 2:
            away = gram.mean - shift
            moments = gram.covariance
            if away.any():
                moments += np.outer(away, away)
            if self.standardize:
                moments /= np.outer(scale, scale)
            return exact(moments)
        if self.k < 1:
            raise RecipeError(
                f"PCA by a share of variance needs the Gram matrix of {len(shift)} columns, which "
                "is above memory_limit; give k as a whole number, or a higher memory_limit"
            )
        products = Products(
            names=names, precision=self.precision, shift=shift, scale=scale, count=gram.count
        )
        return (
            yield from randomized(
                products,
                min(int(self.k), len(shift)),
                oversampling=self.oversampling,
                iterations=self.iterations,
                seed=self.seed,
            )
        )

    def _blocks(
        self,
        names: tuple[str, ...],
        gram: GramState,
        shift: np.ndarray,
        scale: np.ndarray,
        spectrum: Spectrum,
        k: int,
    ) -> dict[str, BlockFunction]:
        components = np.ascontiguousarray(spectrum.vectors[:, :k])
        spread = np.ones(k)
        if self.whiten:
            spread = np.sqrt(np.where(spectrum.values[:k] > 0, spectrum.values[:k], 1.0))
        widths = tuple(int(width or 0) for width in gram.widths)
        affine = AffineBlock(
            inputs=names,
            widths=widths,
            shift=shift,
            weights=components / scale[:, None] / spread,
            inverse=(components * scale[:, None] * spread).T,
        )
        if not self.error:
            return {str(self.output): affine}
        residual = ResidualBlock(
            inputs=names, widths=widths, shift=shift, scale=scale, components=components
        )
        return {str(self.output): affine, self.error: residual}

    def _infos(self, k: int | None, names: tuple[str, ...]) -> list[ColumnInfo]:
        infos = [ColumnInfo(str(self.output), VECTOR, k, names)]
        return [*infos, ColumnInfo(self.error, NUMBER, None, names)] if self.error else infos

    def _largest(self) -> int | None:
        """Columns up to which the Gram matrix is made; None for any number."""
        if self.method == "gram":
            return None
        if self.method == "randomized":
            return 0
        return math.isqrt(self.memory_limit // (8 * (_states_at_once() + 1)))

    def _number(self, spectrum: Spectrum, ratio: np.ndarray, rows: int, left: float) -> int:
        """How many components: as many as wanted, of those with more variance than rounding."""
        values = spectrum.values
        noise = np.finfo(self.precision).eps * (len(values) if self.precision == "float64" else 1)
        varying = int((values > max(noise * values[0], left)).sum())
        rank = min(varying, rows - 1 if self.center else rows)
        if self.k >= 1:
            return max(min(int(self.k), rank), 1)
        enough = int(np.searchsorted(np.cumsum(ratio), float(self.k) - 1e-12)) + 1
        return max(min(enough, rank), 1)


def _deviations(gram: GramState) -> np.ndarray:
    """Deviation of each column [d]; 1 for constant ones."""
    pairs = zip(gram.mean.tolist(), np.sqrt(gram.variance).tolist(), strict=True)
    return np.array([spread(mean, deviation) for mean, deviation in pairs])


def _states_at_once() -> int:
    """States that meet on one machine: of all tasks in local mode, else those of one merge."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        return 1
    slots = int(session.sparkContext.defaultParallelism)
    return slots if is_local(session) else min(slots, FAN_IN)
