"""Selection: drop columns that say little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkmine.errors import RecipeError
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.stats import GroupedMoments, Moments
from sparkmine.stats.moments import MomentsState, merge_moments


@dataclass(frozen=True, kw_only=True)
class _Selection(Operator):
    """Base of operators that remove some of their columns; which, only the data tells."""

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [], ()


@dataclass(frozen=True, kw_only=True)
class SelectVariance(_Selection):
    """Drop the selected columns whose variance is at or below `threshold`."""

    threshold: float = 0.0

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        answers = yield [Moments(column.name) for column in picked]
        variances = {c.name: a.variance for c, a in zip(picked, answers, strict=True)}
        dropped = tuple(name for name, value in variances.items() if value <= self.threshold)
        return Outcome(dropped=dropped, details={"variance": variances})


@dataclass(frozen=True, kw_only=True)
class SelectKBest(_Selection):
    """Keep the `k` selected columns that differ most between the classes of the label.

    The score is the F statistic of a one-way analysis of variance (Fisher, 1925), as
    scikit-learn's `f_classif`. Ties are broken by name. Missing values are left out.
    """

    k: int = 20

    def __post_init__(self) -> None:
        if self.k < 1:
            raise RecipeError(f"SelectKBest wants k of at least 1, not {self.k}")

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        if label is None:
            raise RecipeError("SelectKBest needs the recipe's label=")
        answers = yield [GroupedMoments(column.name, label) for column in picked]
        scores = {c.name: f_statistic(a) for c, a in zip(picked, answers, strict=True)}
        ranked = sorted(scores, key=lambda name: (-scores[name], name))
        return Outcome(dropped=tuple(ranked[self.k :]), details={"f": scores})


def f_statistic(classes: Mapping[str, MomentsState]) -> float:
    """Variance between classes over variance within; 0 where it is not defined."""
    states = [state for state in classes.values() if state.count]
    whole = MomentsState()
    for state in states:
        whole = merge_moments(whole, state)
    freedom = whole.count - len(states)
    if len(states) < 2 or freedom <= 0:
        return 0.0
    within = sum(state.m2 for state in states)
    between = sum(state.count * (state.mean - whole.mean) ** 2 for state in states)
    if within <= 1e-12 * max(whole.m2, 1e-300):
        return 0.0 if between <= 0 else 1e300  # separates the classes without error
    return (between / (len(states) - 1)) / (within / freedom)
