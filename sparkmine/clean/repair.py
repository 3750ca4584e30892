"""Repairs that depend on order or on text; what depends on statistics is a recipe.

Of one column the order is: text, categories, forward fill. Rules see the repaired values, the
quarantine keeps the row as it came, and the first scan counts the changed values of every column.
A forward fill shuffles the rows, in both passes; text is repaired on the way (`expr/columns.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError
from sparkmine.expr.columns import check_text, free, quoted, repaired_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True, kw_only=True)
class ForwardFill:
    """A missing value becomes the last one before it that is there.

    Attributes:
        within: Columns of equal rows; nothing is filled from one group into another.
        order_by: Columns that order a group's rows. Ties are ordered by the rest of the row, so
            that a rerun fills the same.
    """

    within: tuple[str, ...]
    order_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """The repairs of one column.

    Attributes:
        text: Steps of `expr.columns.repaired_text`.
        categories: What values become; others stay.
        fill: Fill missing values forward.
    """

    text: tuple[str, ...] = ()
    categories: Mapping[str, str] = field(default_factory=dict)
    fill: ForwardFill | None = None

    def __post_init__(self) -> None:
        check_text(self.text)


@dataclass(frozen=True)
class Repaired:
    """Rows with repaired columns.

    Attributes:
        rows: The rows; each repaired column is also there as it came.
        columns: The names of the row's columns.
        came: For each of them the column that has it as it came.
        changed: For each repaired column, whether a row's value has changed.
    """

    rows: DataFrame
    columns: tuple[str, ...]
    came: Mapping[str, str]
    changed: Mapping[str, Column]


def repaired(df: DataFrame, repairs: Mapping[str, Repair], columns: Sequence[str] = ()) -> Repaired:
    """Repair the columns that `repairs` names.

    Args:
        columns: The row's columns; all of `df` if empty.

    Raises:
        ConfigError: there is no such column, or it is no text where text is repaired.
    """
    from pyspark.sql import functions as F

    columns = tuple(columns or df.columns)
    came = {name: name for name in columns}
    for name, repair in repairs.items():
        _check(df, name, repair)
    # Names of their own: a column may be called so.
    prefix = free(df.columns, "came")
    came |= {name: f"{prefix}_{number}" for number, name in enumerate(repairs)}
    rows = df.select(
        *map(quoted, df.columns),
        *(F.col(quoted(name)).alias(came[name]) for name in repairs),
    )
    rows = rows.withColumns(
        {n: _text(F.col(quoted(n)), r) for n, r in repairs.items() if r.text or r.categories}
    )
    fills = {n: _filled(n, r.fill, columns, came) for n, r in repairs.items() if r.fill}
    changed = {name: ~F.col(quoted(name)).eqNullSafe(F.col(quoted(came[name]))) for name in repairs}
    return Repaired(rows.withColumns(fills) if fills else rows, columns, came, changed)


def _check(df: DataFrame, name: str, repair: Repair) -> None:
    needed = [name, *(repair.fill.within + repair.fill.order_by if repair.fill else ())]
    for column in needed:
        if column not in df.columns:
            raise ConfigError(f"repair of {name!r}: there is no column {column!r} in {df.columns}")
    kind = df.schema[name].dataType.simpleString()
    if (repair.text or repair.categories) and kind != "string":
        raise ConfigError(f"repair of {name!r}: it is {kind}, no text")


def _text(value: Column, repair: Repair) -> Column:
    from pyspark.sql import functions as F

    value = repaired_text(value, repair.text)
    if repair.categories:
        pairs = [F.lit(text) for pair in repair.categories.items() for text in pair]
        value = F.coalesce(F.try_element_at(F.create_map(*pairs), value), value)
    return value


def _filled(
    name: str, fill: ForwardFill, columns: tuple[str, ...], came: Mapping[str, str]
) -> Column:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # Values as they came: what other fills do must not change the order.
    ties = F.xxhash64(*(F.col(quoted(came[column])) for column in columns))
    ordered = [F.col(quoted(column)) for column in fill.order_by]
    window = Window.partitionBy(*(F.col(quoted(column)) for column in fill.within))
    window = window.orderBy(*ordered, ties).rowsBetween(Window.unboundedPreceding, 0)
    value = F.col(quoted(name))
    return F.coalesce(value, F.last(value, ignorenulls=True).over(window))
