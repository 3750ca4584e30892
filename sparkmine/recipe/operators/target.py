"""Categories to the mean of the label, smoothed; out of fold for the rows it is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, Vocabulary, coalesce, col, function, lit
from sparkmine.recipe.columns import NUMBER, ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, categorical
from sparkmine.stats.label_sums import LabelSums, SelectedSums

_BETWEEN = "\x1f"  # between category and fold in a key; no category holds it


@dataclass(frozen=True, kw_only=True)
class TargetEncode(Operator):
    """The mean of the label among the rows of a category, drawn towards the mean of all rows.

    (sum + smoothing · mean) / (count + smoothing), after Micci-Barreca (2001). The label is 0/1 or
    a number. Categories of fewer than `min_count` rows, beyond the `top_k` most frequent, unseen
    and missing ones get the mean of all rows.

    A row's own label is in the value of its category, so a model that learns from rows which
    `transform` encodes believes it too much. `recipe.fit_transform(snapshot, fold=column)` gives
    the training rows values that come from other folds only.
    """

    columns: Selector = field(default_factory=categorical)
    smoothing: float = 20.0
    min_count: int = 1
    top_k: int | None = 100_000
    fold: str | None = None
    folds: int = 5

    def __post_init__(self) -> None:
        if self.smoothing < 0 or self.min_count < 1 or (self.top_k is not None and self.top_k < 1):
            raise RecipeError("TargetEncode wants smoothing >= 0, min_count and top_k >= 1")
        if self.folds < 2:
            raise RecipeError(f"TargetEncode wants at least 2 folds, not {self.folds}")

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.fold,) if self.fold else ()

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [ColumnInfo(self.output_name(c.name), NUMBER, None, (c.name,)) for c in picked], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        if label is None:
            raise RecipeError("TargetEncode needs the recipe's label=")
        folds = self.folds if self.fold else 1
        answers = yield [
            LabelSums(c.name, label, self.fold, folds, self.top_k, self.min_count) for c in picked
        ]
        outputs: dict[str, Expr] = {}
        training: dict[str, Expr] = {}
        details: dict[str, Any] = {}
        for column, found in zip(picked, answers, strict=True):
            name, value = self.output_name(column.name), col(column.name).cast("string")
            mean = _mean(found.all_sums.sum(), found.all_counts.sum())
            table = found.vocabulary(partial(self._encoded, mean=mean))
            outputs[name] = coalesce(value.lookup(table, mean), mean)
            details[column.name] = {"mean": mean, "categories": found.size}
            if self.fold is not None:
                training[name] = self._out_of_fold(value, found)
        infos = {info.name: info for info in self.predicted(picked)[0]}
        return Outcome(outputs=outputs, infos=infos, details=details, training=training)

    def _encoded(self, found: SelectedSums, mean: float) -> Vocabulary:
        counts, sums = found.counts.sum(axis=1), found.sums.sum(axis=1)
        return Vocabulary(found.keys, self._smoothed(sums, counts, mean))

    def _smoothed(self, sums: np.ndarray, counts: np.ndarray, mean: Any) -> np.ndarray:
        weight = counts + self.smoothing
        return np.where(
            weight > 0, (sums + self.smoothing * mean) / np.maximum(weight, 1e-300), mean
        )

    def _out_of_fold(self, value: Expr, found: SelectedSums) -> Expr:
        """The value of a row from the rows of the other folds."""
        others = found.all_counts.sum() - found.all_counts
        means = np.array(
            [
                _mean(total, count)
                for total, count in zip(found.all_sums.sum() - found.all_sums, others, strict=True)
            ]
        )
        table = found.vocabulary(partial(self._encoded_apart, means=means))
        text = coalesce(col(str(self.fold)).cast("string"), "")
        fold = function("pmod", function("hash", text), self.folds).cast("long").cast("string")
        prior = fold.lookup({str(number): float(mean) for number, mean in enumerate(means)})
        entry = function("concat", value, lit(_BETWEEN), fold).lookup(table)
        return coalesce(entry, prior)

    def _encoded_apart(self, found: SelectedSums, means: np.ndarray) -> Vocabulary:
        """An entry for each category and fold."""
        counts = found.counts.sum(axis=1, keepdims=True) - found.counts
        sums = found.sums.sum(axis=1, keepdims=True) - found.sums
        keys = [
            f"{key}{_BETWEEN}{fold}" for key in found.keys.to_pylist() for fold in range(self.folds)
        ]
        values = self._smoothed(sums, counts, means)
        return Vocabulary(pa.array(keys, pa.string()), values.ravel())


def _mean(total: Any, count: Any) -> float:
    return float(total) / float(count) if count else 0.0
