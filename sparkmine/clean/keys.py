"""Uniqueness and keys into other tables, as columns that joins add to the rows.

Uniqueness needs all rows at once. Its key columns alone are scanned before the others, and the
keys that occur twice are looked for: usually there are none, and the rows are not joined at all.
Up to LITERAL_KEYS of them are kept as constants of the plan, so that both passes over the rows use
the same ones and the join is a broadcast; more are computed again in each pass.

A key into another table is a left join with that table's distinct keys: a broadcast up to
BROADCAST_ROWS, else as Spark decides. No join here adds or removes a row.

Keys are compared in the types that the contract names. A value that does not fit its type is null
there, and no key: the rule of its type has it already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from sparkmine.clean.rules import Check
from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, col, to_column
from sparkmine.expr.columns import free, quoted
from sparkmine.lake import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Columns as values of the type that the contract names.
Typed = Mapping[str, Expr]

LITERAL_KEYS = 100_000
BROADCAST_ROWS = 1_000_000


def unique(
    df: DataFrame,
    name: str,
    columns: Sequence[str],
    number: int,
    typed: Typed,
    beside: tuple[DataFrame, Typed] | None = None,
) -> tuple[DataFrame, Check | None]:
    """`df` with a mark at the rows whose key occurs twice, and the check that reads it.

    None for the check when no key does. Keys of `beside` count, but its rows are not looked at.
    """
    from pyspark.sql import functions as F

    own = _values(columns, typed)
    keys = df.select(*_numbered(own))
    if beside is not None:
        other, as_typed = beside
        keys = keys.unionByName(other.select(*_numbered(_values(columns, as_typed))))
    names = keys.columns
    counted = keys.dropna(subset=names).groupBy(*names).agg(F.count(F.lit(1)).alias("rows"))
    twice = counted.where("rows > 1").select(*names)
    found = twice.limit(LITERAL_KEYS + 1).toArrow()
    if not found.num_rows:
        return df, None
    if found.num_rows <= LITERAL_KEYS:
        twice = F.broadcast(df.sparkSession.createDataFrame(found, schema=twice.schema))
    mark = free(df.columns, f"repeated_{number}")
    column = columns[0] if len(columns) == 1 else ""
    return _marked(df, own, twice, mark), Check(name, column, col(mark).is_null())


def referenced(
    df: DataFrame,
    name: str,
    columns: Sequence[str],
    table: DataFrame | Snapshot,
    key: Sequence[str],
    number: int,
    typed: Typed,
) -> tuple[DataFrame, Check]:
    """`df` with a mark at the rows whose key `table` has, and the check that reads it.

    Where one side is text and the other is not, the text is cast; no text that does not cast is a
    key.
    """
    from pyspark.sql import functions as F

    small = isinstance(table, Snapshot) and table.rows is not None and table.rows <= BROADCAST_ROWS
    if isinstance(table, Snapshot):
        table = table.dataframe(df.sparkSession)
    missing = sorted(set(key) - set(table.columns))
    if missing:
        raise ConfigError(f"rule {name!r}: its table has no column {missing[0]!r}")
    own, other = _values(columns, typed), [F.col(quoted(c)) for c in key]
    # Spark would cast the text itself, and fail at the first that does not cast.
    kinds = zip(_types(df, own), _types(table, other), strict=True)
    for i, (kind, wanted) in enumerate(kinds):
        if (kind == "string") != (wanted == "string"):
            if kind == "string":
                own[i] = own[i].try_cast(wanted)
            else:
                other[i] = other[i].try_cast(kind)
    keys = table.select(*_numbered(other)).dropna().distinct()
    if small:
        keys = F.broadcast(keys)
    mark = free(df.columns, f"known_{number}")
    holds = ~col(mark).is_null()
    for column in columns:
        holds = holds | typed.get(column, col(column)).is_null()
    column = columns[0] if len(columns) == 1 else ""
    return _marked(df, own, keys, mark), Check(name, column, holds)


def _values(columns: Sequence[str], typed: Typed) -> list[Column]:
    """The values that are compared."""
    return [to_column(typed.get(name, col(name))) for name in columns]


def _numbered(values: Sequence[Column]) -> list[Column]:
    return [value.alias(f"k{i}") for i, value in enumerate(values)]


def _types(df: DataFrame, values: Sequence[Column]) -> list[str]:
    return [kind for _, kind in df.select(*_numbered(values)).dtypes]


def _marked(df: DataFrame, values: Sequence[Column], keys: DataFrame, mark: str) -> DataFrame:
    """`df` with a column that is true where its values are among distinct `keys`, else null."""
    from pyspark.sql import functions as F

    names = [f"{mark}_{i}" for i in range(len(values))]
    right = keys.toDF(*names).withColumn(mark, F.lit(True))
    equal = [value == F.col(name) for value, name in zip(values, names, strict=True)]
    return df.join(right, reduce(lambda a, b: a & b, equal), "left").drop(*names)
