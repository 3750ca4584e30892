"""Categories to numbers.

Booleans are the categories `true` and `false`, an empty text is a category, null is a missing one.
Whole numbers may be categories too; floating-point numbers are refused: bucketize them before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pyarrow as pa

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, Vocabulary, col, function, lit, when
from sparkmine.recipe.columns import ARRAY, BUCKET, NUMBER, ONE_HOT, TEXT, ColumnInfo
from sparkmine.recipe.operator import ColumnOperator, Fitting, Operator, Outcome, safe_name
from sparkmine.recipe.selectors import Selector, arrays, categorical
from sparkmine.stats import Counts, SelectedCounts, Stat
from sparkmine.stats.elements import ElementCounts
from sparkmine.stats.missing import Missing


def _names(categories: Sequence[str], reserved: Sequence[str] = ()) -> list[str]:
    """Categories as parts of column names; with their rank where two would have one name."""
    plain = [safe_name(category) for category in categories]
    ranked = [f"{name}_{rank}" for rank, name in enumerate(plain)]
    names = [other if name in reserved else name for name, other in zip(plain, ranked, strict=True)]
    return names if len(set(names)) == len(names) else ranked


@dataclass(frozen=True, kw_only=True)
class _Indicators(Operator):
    """Base of operators that make 0/1 columns of the frequent categories."""

    top_k: int | None = 50
    min_count: int = 1

    # Ends the name of the column that stands for all of them before the fit.
    stands: ClassVar[str]

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.output is not None:
            raise RecipeError(f"{name} names its columns itself; leave out output=")
        if (self.top_k is not None and self.top_k < 1) or self.min_count < 1:
            raise RecipeError(f"{name} wants top_k and min_count of at least 1")

    @abstractmethod
    def counted(self, column: ColumnInfo) -> Stat:
        """What counts its categories."""

    @abstractmethod
    def indicators(self, column: str, categories: list[str]) -> dict[str, Expr]:
        """The values of its new columns, by the ends of their names."""

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        made = [ColumnInfo(f"{c.name}_{self.stands}", ONE_HOT, 2, (c.name,)) for c in picked]
        return made, tuple(column.name for column in picked)

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        answers = yield [self.counted(column) for column in picked]
        outputs: dict[str, Expr] = {}
        infos: dict[str, ColumnInfo] = {}
        details = {}
        for column, counts in zip(picked, answers, strict=True):
            categories = [str(key) for key, _ in counts.top()]
            details[column.name] = categories
            for end, expr in self.indicators(column.name, categories).items():
                name = f"{column.name}_{end}"
                outputs[name] = expr
                infos[name] = ColumnInfo(name, ONE_HOT, 2, (column.name,))
        dropped = tuple(column.name for column in picked)
        return Outcome(outputs=outputs, infos=infos, dropped=dropped, details=details)


@dataclass(frozen=True, kw_only=True)
class OneHot(_Indicators):
    """One 0/1 column for each frequent category, one for all others, one for missing values.

    The columns are `{column}_is_{category}`, `{column}_is_other` and `{column}_is_missing`; the
    source column is removed. Categories are ordered by count, ties by name; those that would share
    a column's name have their rank behind it. An unseen category is other, null is missing; a
    column without values has other and missing only.
    """

    stands: ClassVar[str] = "is_other"

    columns: Selector = field(default_factory=categorical)

    def counted(self, column: ColumnInfo) -> Stat:
        return Counts(column.name, self.top_k, self.min_count)

    def indicators(self, column: str, categories: list[str]) -> dict[str, Expr]:
        value = col(column).cast("string")
        names = _names(categories, ("other", "missing"))
        found = {
            f"is_{name}": when(value == category, 1.0).otherwise(0.0)
            for name, category in zip(names, categories, strict=True)
        }
        known = value.is_null() | value.is_in(categories)
        found["is_other"] = when(known, 0.0).otherwise(1.0)
        found["is_missing"] = when(value.is_null(), 1.0).otherwise(0.0)
        return found


@dataclass(frozen=True, kw_only=True)
class MultiHot(_Indicators):
    """One 0/1 column for each frequent element of lists of text: is it in the row's list?

    The columns are `{column}_has_{category}`; the source column is removed. Elements are ordered
    by count over all lists, ties by name. A null or empty list, and one of unseen elements only,
    is 0 in all of them; a column without elements makes none.
    """

    stands: ClassVar[str] = "has_"

    columns: Selector = field(default_factory=arrays)

    def counted(self, column: ColumnInfo) -> Stat:
        if column.kind != ARRAY:
            raise RecipeError(
                f"MultiHot works on lists of text; {column.name!r} is of kind {column.kind}"
            )
        return ElementCounts(column.name, self.top_k, self.min_count)

    def indicators(self, column: str, categories: list[str]) -> dict[str, Expr]:
        found = {}
        for name, category in zip(_names(categories), categories, strict=True):
            inside = function("array_contains", col(column), category)
            found[f"has_{name}"] = when(inside, 1.0).otherwise(0.0)
        return found


@dataclass(frozen=True, kw_only=True)
class FrequencyEncode(Operator):
    """The share of a category among the rows that have one.

    An unseen category is 0, null stays null. Of columns of very many categories the `top_k`
    most frequent are kept, ties by name; all others are 0.
    """

    columns: Selector = field(default_factory=categorical)
    top_k: int | None = 10_000

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise RecipeError(f"FrequencyEncode wants top_k of at least 1, not {self.top_k}")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [ColumnInfo(self.output_name(c.name), NUMBER, None, (c.name,)) for c in picked], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        stats: list[Stat] = [Missing(column.name) for column in picked]
        answers = yield [*stats, *(Counts(column.name, self.top_k) for column in picked)]
        outputs = {}
        for index, column in enumerate(picked):
            found, counts = answers[index], answers[index + len(picked)]
            rows = max(found.rows - found.missing, 1)
            shares = counts.vocabulary(partial(_shares, rows=rows))
            value = col(column.name).cast("string")
            outputs[self.output_name(column.name)] = value.lookup(shares, default=0.0)
        return Outcome(
            outputs=outputs, infos={info.name: info for info in self.predicted(picked)[0]}
        )


def _shares(counts: SelectedCounts, rows: int) -> Vocabulary:
    return Vocabulary(counts.keys.cast(pa.string()), counts.counts / rows)


@dataclass(frozen=True, kw_only=True)
class HashEncode(ColumnOperator):
    """One of `buckets` numbers from the hash of a category (Spark's Murmur3), as a double.

    Nothing is fitted: seen and unseen categories are treated alike, and two categories may share
    a bucket (Weinberger et al., 2009). Null stays null.
    """

    columns: Selector = field(default_factory=categorical)
    buckets: int = 256
    kind: ClassVar[str] = BUCKET

    def __post_init__(self) -> None:
        if not 2 <= self.buckets <= 2**31 - 1:
            raise RecipeError(f"HashEncode wants at least 2 buckets, not {self.buckets}")

    def info(self, column: str, fitted: Expr) -> ColumnInfo:
        return ColumnInfo(self.output_name(column), BUCKET, self.buckets, (column,))

    def fit(self, column: str) -> Expr:
        return function("pmod", function("hash", col(column)), self.buckets)


@dataclass(frozen=True, kw_only=True)
class Cross(Operator):
    """The values of two or more categorical columns as one text column, such as `red|XL`.

    In the order of the table's columns, which are left as they are. Null where any of them is
    null. Nothing is fitted, so unseen values are crossed like any other. Text that holds the
    `separator` itself may make two crosses equal.
    """

    example: ClassVar[str] = "columns: [colour, size], output: colour_size"
    columns: Selector = field(default_factory=categorical)
    separator: str = "|"

    def __post_init__(self) -> None:
        if not self.output or "{" in self.output:
            raise RecipeError("Cross needs the name of its text column as output=")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [ColumnInfo(str(self.output), TEXT, None, tuple(c.name for c in picked))], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        if len(picked) < 2:
            raise RecipeError(
                f"Cross wants at least 2 columns; {self.columns} selects {len(picked)}"
            )
        parts: list[Expr] = []
        for column in picked:
            parts += [lit(self.separator), col(column.name)] if parts else [col(column.name)]
        (info,), _ = self.predicted(picked)
        return Outcome(outputs={info.name: function("concat", *parts)}, infos={info.name: info})
