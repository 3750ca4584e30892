"""Missing values.

Null and NaN both count as missing; infinities do not. An infinity stays as it is, and never counts
for a mean, a median or the most frequent value.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, Scalar, coalesce, col, lit, when
from sparkmine.recipe.columns import BOOLEAN, NUMBER, TEXT, ColumnInfo
from sparkmine.recipe.operator import ColumnOperator, Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, categorical, numeric, select
from sparkmine.stats import Counts, GroupedMoments, Moments, Sketch, Stat
from sparkmine.stats.missing import Missing

_FITTING = numeric() | categorical()


def _missing(number: Expr) -> Expr:
    return number.is_null() | number.is_nan()


def _fill(column: str, value: Expr | Scalar) -> Expr:
    number = col(column).cast("double")
    return when(_missing(number), value).otherwise(number)


@dataclass(frozen=True, kw_only=True)
class ImputeMean(ColumnOperator):
    """Replace missing numbers by the mean of the finite ones (0 if there are none).

    Null and NaN are missing; infinities stay.
    """

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        moments = yield Moments(column)
        return _fill(column, moments.mean)


@dataclass(frozen=True, kw_only=True)
class ImputeMedian(ColumnOperator):
    """Replace missing numbers by the median of the finite ones (0 if there are none).

    Null and NaN are missing; infinities stay. The median's rank is exact to 0.5 % of the rows.
    """

    derivable: ClassVar[bool] = True

    def fit(self, column: str) -> Generator[Stat, Any, Expr]:
        sketch = yield Sketch(column)
        median = sketch.quantile(0.5)
        return _fill(column, 0.0 if median is None else median)


@dataclass(frozen=True, kw_only=True)
class ImputeMode(Operator):
    """Replace missing numbers, text and booleans by the most frequent value, ties by value.

    Null and NaN are missing; infinities stay, and are never the most frequent value. In a column
    without any value numbers become 0; text and booleans stay null.
    """

    derivable: ClassVar[bool] = True

    columns: Selector = field(default_factory=lambda: numeric() | categorical())

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [ColumnInfo(self.output_name(c.name), c.kind, None, (c.name,)) for c in picked], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        for column in picked:
            if column.kind not in (NUMBER, TEXT, BOOLEAN):
                raise RecipeError(
                    f"ImputeMode fills numbers, text and booleans; {column.name!r} is of kind "
                    f"{column.kind}"
                )
        answers = yield [Counts(column.name, top_k=4) for column in picked]
        outputs, details = {}, {}
        for column, counts in zip(picked, answers, strict=True):
            # Three more than one, for NaN and the infinities.
            found = _mode(column.kind, [key for key, _ in counts.top()])
            outputs[self.output_name(column.name)] = (
                _fill(column.name, found)
                if column.kind == NUMBER
                else coalesce(col(column.name), lit(found))
            )
            details[column.name] = found
        infos = {info.name: info for info in self.predicted(picked)[0]}
        return Outcome(outputs=outputs, infos=infos, details={"mode": details})


def _mode(kind: str, keys: Sequence[Any]) -> Scalar:
    """The first key as a value of its column."""
    if kind == NUMBER:
        return next((float(key) for key in keys if math.isfinite(float(key))), 0.0)
    if not keys:
        return None
    return str(keys[0]).lower() == "true" if kind == BOOLEAN else str(keys[0])


@dataclass(frozen=True, kw_only=True)
class ImputeConstant(ColumnOperator):
    """Replace missing values by a fixed one: a number in numbers, a word in text and booleans.

    Without `columns=` it works on all columns that the value fits: `numeric()` for a number,
    `categorical()` for a word. Booleans become the words `true` and `false`. Null and NaN are
    missing; infinities stay. Nothing is fitted.
    """

    example: ClassVar[str] = "columns: categorical(), value: unknown"

    derivable: ClassVar[bool] = True

    columns: Selector = _FITTING
    value: float | int | str = "missing"

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float | str):
            raise RecipeError(f"ImputeConstant wants a number or text as value=, not {self.value}")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise RecipeError(f"ImputeConstant wants a finite number as value=, not {self.value}")
        if self.columns is _FITTING:
            object.__setattr__(self, "columns", categorical() if self._text else numeric())

    @property
    def _text(self) -> bool:
        return isinstance(self.value, str)

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        kind = TEXT if self._text else NUMBER
        return [ColumnInfo(self.output_name(c.name), kind, None, (c.name,)) for c in picked], ()

    def info(self, column: str, fitted: Expr) -> ColumnInfo:
        kind = TEXT if self._text else NUMBER
        return ColumnInfo(self.output_name(column), kind, None, (column,))

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        fit = (TEXT, BOOLEAN) if self._text else (NUMBER,)
        wrong = [column for column in picked if column.kind not in fit]
        if wrong:
            raise RecipeError(
                f"ImputeConstant cannot put {self.value!r} into {wrong[0].name!r}, a column of "
                f"kind {wrong[0].kind}"
            )
        return (yield from super().fitting(picked, label))

    def fit(self, column: str) -> Expr:
        if self._text:
            return coalesce(col(column).cast("string"), lit(self.value))
        return _fill(column, float(self.value))


@dataclass(frozen=True, kw_only=True)
class ImputeByGroup(Operator):
    """Replace missing numbers by the mean of the finite ones with the same value of `by`.

    `by` is a text, boolean or integer column of at most 1000 groups; it is left as it is. Rows of
    an unseen group, of a group without finite numbers, or without a group get the mean of the
    whole column (0 if there is none). Null and NaN are missing; infinities stay.
    """

    example: ClassVar[str] = "columns: numeric(), by: region"
    by: str = ""

    def __post_init__(self) -> None:
        if not self.by:
            raise RecipeError("ImputeByGroup needs the name of its group column as by=")

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns beside `columns` whose values it needs."""
        return (self.by,)

    def _filled(self, picked: Sequence[ColumnInfo]) -> list[ColumnInfo]:
        return [
            ColumnInfo(self.output_name(c.name), NUMBER, None, (c.name, self.by))
            for c in picked
            if c.name != self.by
        ]

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return self._filled(picked), ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        infos = self._filled(picked)
        names = [info.source[0] for info in infos]
        stats: list[Stat] = [Moments(name) for name in names]
        answers = yield [*stats, *(GroupedMoments(name, self.by) for name in names)]
        outputs = {}
        for info, name, whole, groups in zip(
            infos, names, answers[: len(names)], answers[len(names) :], strict=True
        ):
            means = {str(key): state.mean for key, state in groups.items() if state.count}
            mean = col(self.by).cast("string").lookup(means, default=whole.mean)
            outputs[info.name] = _fill(name, coalesce(mean, whole.mean))
        return Outcome(outputs=outputs, infos={info.name: info for info in infos})


@dataclass(frozen=True, kw_only=True)
class MissingIndicator(ColumnOperator):
    """1 where a number is missing, else 0, in a column of its own.

    Null and NaN are missing; infinities are not. Nothing is fitted.
    """

    output: str | None = "{}_missing"
    kind: ClassVar[str] = NUMBER

    def fit(self, column: str) -> Expr:
        return when(_missing(col(column).cast("double")), 1.0).otherwise(0.0)


@dataclass(frozen=True, kw_only=True)
class DropSparseColumns(Operator):
    """Drop the selected columns, of any type, of which more than `max_missing` is missing.

    Without `columns=` all columns are selected. The share is over all rows; null and NaN are
    missing, infinities are not. Of no rows nothing is missing.
    """

    columns: Selector = field(default_factory=lambda: ~select())
    max_missing: float = 0.9

    def __post_init__(self) -> None:
        if not 0.0 <= self.max_missing < 1.0:
            raise RecipeError(
                f"DropSparseColumns wants max_missing as a share from 0 to below 1, "
                f"not {self.max_missing}"
            )

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        answers = yield [Missing(column.name) for column in picked]
        shares = {column.name: found.share for column, found in zip(picked, answers, strict=True)}
        dropped = tuple(name for name, share in shares.items() if share > self.max_missing)
        return Outcome(dropped=dropped, details={"missing": shares})
