"""Principal components.

From the exact Gram matrix. The components are the eigenvectors of the covariance matrix (Pearson,
1901; Hotelling, 1933). One scan: the Gram matrix of d columns takes d² · 8 bytes a task. Signs are
deterministic: the entry of largest size of every component is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkmine.errors import DataError, RecipeError
from sparkmine.recipe.block import AffineBlock
from sparkmine.recipe.columns import VECTOR, ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.stats import Gram


@dataclass(frozen=True, kw_only=True)
class PCA(Operator):
    """Project the selected columns on their principal components, into one array column.

    The source columns are removed. `k` is the number of components, or, below 1, the share of
    variance that they must explain. With `standardize` every column is divided by its deviation
    (by 1 for a constant column, which is 0 in all components). Null, NaN and infinities are an
    error that names the columns, in the fit and afterwards, and so is a fit on no rows: impute
    and clip before.
    """

    k: int | float = 10
    output: str | None = "pca"
    standardize: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not (
            0 < self.k < 1 or (self.k >= 1 and self.k == int(self.k))
        ):
            raise RecipeError(f"PCA wants k as a whole number or a share below 1, not {self.k}")
        if not self.output:
            raise RecipeError("PCA needs the name of its array column as output=")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        names = tuple(column.name for column in picked)
        return [ColumnInfo(str(self.output), VECTOR, None, names)], names

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        names = tuple(column.name for column in picked)
        if not names:
            raise RecipeError(f"PCA({self.columns}) selects no column")
        (gram,) = yield [Gram(names)]
        if not gram.count:
            raise DataError("PCA was given no rows to fit on")
        covariance = gram.covariance
        scale = np.ones(len(names))
        if self.standardize:
            deviation = np.sqrt(np.diag(covariance))
            scale = np.where(deviation > 0, deviation, 1.0)
            covariance = covariance / np.outer(scale, scale)
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = np.clip(values[::-1], 0.0, None), vectors[:, ::-1]
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
        vectors = vectors * np.where(largest < 0, -1.0, 1.0)
        ratio = values / (values.sum() or 1.0)
        k = self._number(ratio)
        function = AffineBlock(names, gram.mean, vectors[:, :k] / scale[:, None])
        name = str(self.output)
        return Outcome(
            blocks={name: function},
            infos={name: ColumnInfo(name, VECTOR, k, names)},
            dropped=names,
            details={
                "components": k,
                "explained_variance": values.tolist(),
                "explained_variance_ratio": ratio.tolist(),
            },
        )

    def _number(self, ratio: np.ndarray) -> int:
        if self.k >= 1:
            return min(int(self.k), len(ratio))
        enough = int(np.searchsorted(np.cumsum(ratio), float(self.k) - 1e-12)) + 1
        return min(enough, len(ratio))
