"""Categories to whole numbers.

For embeddings and trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, Lookup, Vocabulary, col, when
from sparkmine.recipe.columns import INDEX, ColumnInfo
from sparkmine.recipe.operator import Extended, Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, categorical
from sparkmine.stats import Counts, SelectedCounts

MISSING, UNKNOWN, FIRST = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class OrdinalIndex(Operator):
    """The number of a category: 0 for missing values, 1 for rare and unseen ones, from 2 the rest.

    Categories are numbered by how often they occur, ties by the category; those with fewer than
    `min_count` rows, and all but the `top_k` most frequent, are rare. Null is missing, an empty
    text is a category. Floating-point numbers are refused: bucketize them before.
    """

    columns: Selector = field(default_factory=categorical)
    min_count: int = 1
    top_k: int | None = None

    def __post_init__(self) -> None:
        if (self.top_k is not None and self.top_k < 1) or self.min_count < 1:
            raise RecipeError("OrdinalIndex wants top_k and min_count of at least 1")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        made = [ColumnInfo(self.output_name(c.name), INDEX, None, (c.name,)) for c in picked]
        return made, ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        answers = yield [Counts(c.name, self.top_k, self.min_count) for c in picked]
        outputs: dict[str, Expr] = {}
        infos: dict[str, ColumnInfo] = {}
        details = {}
        for column, counts in zip(picked, answers, strict=True):
            name = self.output_name(column.name)
            outputs[name] = _indexed(column.name, counts.vocabulary(_numbered, ordered=True))
            infos[name] = ColumnInfo(name, INDEX, FIRST + counts.size, (column.name,))
            details[column.name] = {
                "categories": counts.size,
                "rare": counts.distinct - counts.size,
                "most frequent": [list(pair) for pair in counts.top(3)],
            }
        return Outcome(outputs=outputs, infos=infos, details=details)

    def continued(self, previous: Outcome, outcome: Outcome, extended: Extended) -> Outcome:
        """Numbers once given stay; categories that have become frequent get the next ones."""
        outputs, infos = {}, {}
        for name, info in outcome.infos.items():
            before, after = _table(previous.outputs[name]), _table(outcome.outputs[name])
            table = extended(before, after, FIRST + len(before))
            outputs[name] = _indexed(info.source[0], table)
            infos[name] = replace(info, cardinality=FIRST + len(table))
        return replace(outcome, outputs=outputs, infos=infos)


def _numbered(counts: SelectedCounts) -> Vocabulary:
    first = FIRST + counts.start
    return Vocabulary(counts.keys, np.arange(first, first + len(counts.keys)))


def _indexed(column: str, table: Vocabulary) -> Expr:
    value = col(column)
    index = when(value.is_null(), float(MISSING)).otherwise(value.lookup(table, UNKNOWN))
    return index.cast("long")


def _table(expr: Expr) -> Vocabulary:
    return next(node.table for node in expr.walk() if isinstance(node, Lookup))
