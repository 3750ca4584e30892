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

    order = [_parsed(term) for term in order_by]
    for name in [*(key or ()), *(column for column, _ in order)]:
        if name not in df.columns:
            raise ConfigError(f"deduplication reads column {name!r}; the table has {df.columns}")
    if key is None:
        if order:
            raise ConfigError("deduplication by whole row has no order: equal rows are equal")
        return df.dropDuplicates()
    if not key:
        raise ConfigError("deduplication needs at least one key column, or none for whole rows")
    stated: list[Column] = [
        F.col(name).desc_nulls_last() if down else F.col(name).asc_nulls_last()
        for name, down in order
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


def _parsed(term: str) -> tuple[str, bool]:
    found = _ORDER.match(term)
    if not found:
        raise ConfigError(f"order {term!r}: write a column, or a column and desc")
    return found.group(1), (found.group(2) or "asc").lower() == "desc"
