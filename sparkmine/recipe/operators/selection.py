"""Selection.

Drop columns that say little. The columns that stay are not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparkmine.errors import RecipeError
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.recipe.operators.scores import SCORES
from sparkmine.stats import Gram, Moments


@dataclass(frozen=True, kw_only=True)
class _Selection(Operator):
    """Base of operators that remove some of their columns; which, only the data tells."""

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [], ()


@dataclass(frozen=True, kw_only=True)
class SelectVariance(_Selection):
    """Drop the selected columns whose variance is at or below `threshold`.

    Over finite values: null, NaN and infinities are left out. A constant or empty column has
    variance 0.
    """

    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not self.threshold >= 0.0:
            raise RecipeError(f"SelectVariance wants threshold of at least 0, not {self.threshold}")

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        answers = yield [Moments(column.name) for column in picked]
        variances = {c.name: a.variance for c, a in zip(picked, answers, strict=True)}
        dropped = tuple(name for name, value in variances.items() if value <= self.threshold)
        return Outcome(dropped=dropped, details={"variance": variances})


@dataclass(frozen=True, kw_only=True)
class SelectCorrelation(_Selection):
    """Of each two columns whose correlation is above `threshold` in size, drop the later one.

    Pearson's correlation, in the order of the columns: a dropped column drops no other. Constant
    columns correlate with none. Null, NaN and infinities are an error that names the columns:
    impute before.
    """

    threshold: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 1.0:
            raise RecipeError(
                f"SelectCorrelation wants threshold between 0 and 1, not {self.threshold}"
            )

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        names = tuple(column.name for column in picked)
        if len(names) < 2:
            return Outcome(details={"redundant": {}})
        (gram,) = yield [Gram(names)]
        correlation = correlations(gram.mean, gram.covariance)
        redundant: dict[str, str] = {}
        for index, name in enumerate(names):
            for earlier in range(index):
                close = abs(correlation[earlier, index]) > self.threshold
                if close and names[earlier] not in redundant:
                    redundant[name] = names[earlier]
                    break
        return Outcome(dropped=tuple(redundant), details={"redundant": redundant})


def correlations(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Pearson's correlations [d, d]; 0 for constant columns."""
    deviation = np.sqrt(np.diag(covariance))
    # Below this a deviation is rounding noise of the mean.
    varies = deviation > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    scale = np.where(varies, deviation, 1.0)
    return covariance / np.outer(scale, scale) * np.outer(varies, varies)


@dataclass(frozen=True, kw_only=True)
class SelectKBest(_Selection):
    """Keep the `k` selected columns that tell most of the label, by `score`; ties by name.

    `f` is the F statistic of a one-way analysis of variance (Fisher, 1925), as scikit-learn's
    `f_classif`; `chi2` compares the sums of non-negative features, such as counts, between the
    classes, as its `chi2`; `mutual_information` is that of the label and of 16 buckets of equal
    counts, in nats, and takes two scans. Missing values are left out, infinities too except by
    `mutual_information`, where they are in the outer buckets; constant and empty columns score 0.
    """

    k: int = 20
    score: str = "f"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise RecipeError(f"SelectKBest wants k of at least 1, not {self.k}")
        if self.score not in SCORES:
            raise RecipeError(f"SelectKBest wants score as {', '.join(SCORES)}, not {self.score!r}")

    @property
    def asks(self) -> int:
        """How often it asks for statistics, one scan after the other."""
        return 2 if self.score == "mutual_information" else 1

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        if label is None:
            raise RecipeError("SelectKBest needs the recipe's label=")
        names = [column.name for column in picked]
        scores: Mapping[str, float] = yield from SCORES[self.score](names, label)
        ranked = sorted(scores, key=lambda name: (-scores[name], name))
        return Outcome(dropped=tuple(ranked[self.k :]), details={self.score: dict(scores)})
