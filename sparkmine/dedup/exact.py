"""Exact duplicates, by key or by whole row.

One shuffle by the key. The survivor is the first row in a total order: the stated order, then
all columns, so it is the same row whatever the partitioning. Nulls are equal to each other, as
are NaNs, and -0.0 is 0.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_RANK = "_rank"
_ORDER = re.compile(r"^\s*(\w+)(?:\s+(asc|desc))?\s*$", re.IGNORECASE)


def exact(
    df: DataFrame, key: Sequence[str] | None = None, order_by: Sequence[str] = ()
) -> DataFrame:
    """One row for each distinct key.

    Args:
        df: The rows.
        key: Columns that identify a row; None for the whole row.
        order_by: `column` or `column desc`; the first row survives. Nulls come last.

    Raises:
        ConfigError: a column that is not there; an order without a key.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    _check_there(df, key or ())
    order = ordered(df, order_by)
    if key is None:
        if order:
            raise ConfigError("deduplication by whole row has no order: equal rows are equal")
        return df.dropDuplicates()
    if not key:
        raise ConfigError("deduplication needs at least one key column, or none for whole rows")
    stated: list[Column] = [
        column.desc_nulls_last() if down else column.asc_nulls_last() for column, down in order
    ]
    # Ties end in the values of all columns; maps cannot be ordered, so they go as text.
    rest = [
        F.to_json(name) if field.dataType.typeName() == "map" else F.col(name)
        for field in df.schema.fields
        if (name := field.name) not in key
    ]
    window = Window.partitionBy(*key).orderBy(*stated, *rest)
    ranked = df.withColumn(_RANK, F.row_number().over(window))
    return ranked.where(F.col(_RANK) == 1).drop(_RANK)


def ordered(df: DataFrame, order_by: Sequence[str]) -> list[tuple[Column, bool]]:
    """The columns of an order, and whether each descends.

    Raises:
        ConfigError: a term that cannot be read, or a column that is not there.
    """
    terms = [_parsed(term) for term in order_by]
    _check_there(df, [name for name, _ in terms])
    return [(df[name], down) for name, down in terms]


def _check_there(df: DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in df.columns:
            raise ConfigError(f"deduplication reads column {name!r}; the table has {df.columns}")


def _parsed(term: str) -> tuple[str, bool]:
    found = _ORDER.match(term)
    if not found:
        raise ConfigError(f"order {term!r}: write a column, or a column and desc")
    return found.group(1), (found.group(2) or "asc").lower() == "desc"
