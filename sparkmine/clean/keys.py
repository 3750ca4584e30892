"""Uniqueness and keys into other tables, as columns that joins add to the rows.

Uniqueness needs all rows at once. Its key columns alone are scanned before the others, and the
keys that occur twice are looked for: usually there are none, and the rows are not joined at all.
Up to LITERAL_KEYS of them are kept as constants of the plan, so that both passes over the rows use
the same ones and the join is a broadcast; more are computed again in each pass.

A key into another table is a left join with that table's distinct keys: a broadcast up to
BROADCAST_ROWS, else as Spark decides. No join here adds or removes a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from sparkmine.clean.rules import Check
from sparkmine.errors import ConfigError
from sparkmine.expr import col
from sparkmine.expr.columns import quoted
from sparkmine.lake import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LITERAL_KEYS = 100_000
BROADCAST_ROWS = 1_000_000


def unique(
    df: DataFrame,
    name: str,
    columns: Sequence[str],
    number: int,
    beside: DataFrame | None = None,
) -> tuple[DataFrame, Check | None]:
    """`df` with a mark at the rows whose key occurs twice, and the check that reads it.

    None for the check when no key does. Keys of `beside` count, but its rows are not looked at.
    """
    from pyspark.sql import functions as F

    keys = df.select(*(F.col(quoted(c)).alias(f"k{i}") for i, c in enumerate(columns)))
    if beside is not None:
        other = beside.select(*(F.col(quoted(c)).alias(f"k{i}") for i, c in enumerate(columns)))
        keys = keys.unionByName(other)
    names = keys.columns
    counted = keys.dropna(subset=names).groupBy(*names).agg(F.count(F.lit(1)).alias("rows"))
    twice = counted.where("rows > 1").select(*names)
    found = twice.limit(LITERAL_KEYS + 1).toArrow()
    if not found.num_rows:
        return df, None
    if found.num_rows <= LITERAL_KEYS:
        twice = F.broadcast(df.sparkSession.createDataFrame(found, schema=twice.schema))
    mark = f"_repeated_{number}"
    column = columns[0] if len(columns) == 1 else ""
    return _marked(df, columns, twice, mark), Check(name, column, col(mark).is_null())


def referenced(
    df: DataFrame,
    name: str,
    columns: Sequence[str],
    table: DataFrame | Snapshot,
    key: Sequence[str],
    number: int,
) -> tuple[DataFrame, Check]:
    """`df` with a mark at the rows whose key `table` has, and the check that reads it."""
    from pyspark.sql import functions as F

    small = isinstance(table, Snapshot) and table.rows is not None and table.rows <= BROADCAST_ROWS
    if isinstance(table, Snapshot):
        table = table.dataframe(df.sparkSession)
    missing = sorted(set(key) - set(table.columns))
    if missing:
        raise ConfigError(f"rule {name!r}: its table has no column {missing[0]!r}")
    keys = table.select(*(F.col(quoted(c)).alias(f"k{i}") for i, c in enumerate(key)))
    keys = keys.dropna().distinct()
    if small:
        keys = F.broadcast(keys)
    mark = f"_known_{number}"
    holds = ~col(mark).is_null()
    for column in columns:
        holds = holds | col(column).is_null()
    column = columns[0] if len(columns) == 1 else ""
    return _marked(df, columns, keys, mark), Check(name, column, holds)


def _marked(df: DataFrame, columns: Sequence[str], keys: DataFrame, mark: str) -> DataFrame:
    """`df` with a column that is true where its columns are among distinct `keys`, else null."""
    from pyspark.sql import functions as F

    own = [f"{mark}_{i}" for i in range(len(columns))]
    right = keys.toDF(*own).withColumn(mark, F.lit(True))
    equal: list[Column] = [df[quoted(c)] == right[k] for c, k in zip(columns, own, strict=True)]
    return df.join(right, reduce(lambda a, b: a & b, equal), "left").drop(*own)
