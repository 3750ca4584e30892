"""Categories to numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, when
from sparkmine.recipe.columns import ONE_HOT, ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome, safe_name
from sparkmine.recipe.selectors import Selector, categorical
from sparkmine.stats import Counts


@dataclass(frozen=True, kw_only=True)
class OneHot(Operator):
    """One 0/1 column for each frequent category, one for all others, one for missing values.

    The columns are `{column}_is_{category}`, `{column}_is_other` and `{column}_is_missing`; the
    source column is removed. Categories are ordered by count, ties by name.
    """

    columns: Selector = field(default_factory=categorical)
    top_k: int | None = 50
    min_count: int = 1

    def __post_init__(self) -> None:
        if self.output is not None:
            raise RecipeError("OneHot names its columns itself; leave out output=")
        if (self.top_k is not None and self.top_k < 1) or self.min_count < 1:
            raise RecipeError("OneHot wants top_k and min_count of at least 1")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        made = [ColumnInfo(f"{c.name}_is_other", ONE_HOT, 2, (c.name,)) for c in picked]
        return made, tuple(column.name for column in picked)

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        answers = yield [Counts(column.name, self.top_k, self.min_count) for column in picked]
        outputs: dict[str, Expr] = {}
        infos: dict[str, ColumnInfo] = {}
        details = {}
        for column, counts in zip(picked, answers, strict=True):
            categories = [str(key) for key, _ in counts.top()]
            details[column.name] = categories
            value = col(column.name).cast("string")
            slots = {f"is_{safe_name(c)}": when(value == c, 1.0).otherwise(0.0) for c in categories}
            if len(slots) < len(categories):
                # Two categories with one safe name: tell them apart by their rank.
                slots = {
                    f"is_{safe_name(c)}_{rank}": when(value == c, 1.0).otherwise(0.0)
                    for rank, c in enumerate(categories)
                }
            known = value.is_null() | value.is_in(categories)
            slots["is_other"] = when(known, 0.0).otherwise(1.0)
            slots["is_missing"] = when(value.is_null(), 1.0).otherwise(0.0)
            for slot, expr in slots.items():
                name = f"{column.name}_{slot}"
                outputs[name] = expr
                infos[name] = ColumnInfo(name, ONE_HOT, 2, (column.name,))
        dropped = tuple(column.name for column in picked)
        return Outcome(outputs=outputs, infos=infos, dropped=dropped, details=details)
