"""Texts that come in parts, such as days: which of a new part survive beside those of the others.

A row that was published stays: a near copy of it that comes later is removed in its favour, and of
new ones the first by their own order survives. Two clusters that later texts join keep the rows
that they had. Of parts that come all at once, the earliest is the one that was published.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.kept import PART
from sparkmine.dedup.survivors import survivors

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

# Column with the name of a row's part.
NAME = "_part"


def is_ordered(kind: DataType, value: Any) -> bool:
    """Whether a column of this type, compared with such constants, says which part is earlier."""
    from pyspark.sql import types as t

    if isinstance(kind, t.StringType | t.DateType):
        return isinstance(value, str | datetime.date)
    return isinstance(kind, t.IntegralType) and isinstance(value, int)


def with_parts(df: DataFrame, column: str, name: Callable[[Any], str]) -> DataFrame:
    """The rows with the `NAME` of their part, which is that of their value of a column."""
    from pyspark.sql import functions as F

    values = [row[0] for row in df.select(column).distinct().collect()]
    schema = f"_value {df.schema[column].dataType.simpleString()}, {NAME} string"
    names = df.sparkSession.createDataFrame([(value, name(value)) for value in values], schema)
    return df.join(F.broadcast(names), F.col(column) == F.col("_value")).drop("_value")


def of_part(
    df: DataFrame, members: DataFrame, part: str, published: DataFrame, order_by: Sequence[str]
) -> DataFrame:
    """[id, cluster, survivor, place, size] for each row of a part.

    Without a row of another part the survivor is as `survivors` says; else it is that row, of
    several the first by part and id. `place` and `size` are among the rows of this part.

    Args:
        df: The rows.
        members: [id, cluster, part] of all parts, the id's column first.
        published: [id] of the rows that survived in the other parts.
    """
    from pyspark.sql import functions as F

    id = members.columns[0]
    mine = members.where(F.col(PART) == part).select(id, "cluster")
    there = members.where(_other(part)).join(published, id, "left_semi")
    first = F.min(F.struct(PART, id)).getField(id).alias("_before")
    before = there.join(mine, "cluster", "left_semi").groupBy("cluster").agg(first)
    survivor = F.coalesce("_before", "survivor").alias("survivor")
    rows = survivors(df, mine, order_by).join(before, "cluster", "left")
    return rows.select(id, "cluster", survivor, "place", "size")


def left_alone(members: DataFrame, part: str, published: DataFrame) -> list[str]:
    """The other parts that have rows in clusters of which nothing is published, in order.

    Clusters with rows of this part do not count: one of these survives, if no other does.
    """
    from pyspark.sql import functions as F

    id = members.columns[0]
    there = members.where(_other(part))
    alive = there.join(published, id, "left_semi").select("cluster")
    mine = members.where(F.col(PART) == part).select("cluster")
    alone = there.join(alive.union(mine), "cluster", "left_anti")
    return sorted(row[PART] for row in alone.select(PART).distinct().collect())


def _other(part: str) -> Column:
    from pyspark.sql import functions as F

    return ~F.col(PART).eqNullSafe(F.lit(part))
