"""Which document of each cluster stays, and in whose favour the others go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.exact import LARGEST
from sparkmine.dedup.order import ordered

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def survivors(df: DataFrame, clusters: DataFrame, order_by: Sequence[str] = ()) -> DataFrame:
    """[id, cluster, survivor, place, size] for each row: the survivor has place 1 in its cluster.

    It is the first row of the cluster by `order_by`, then id; `size` is the cluster's.

    Args:
        df: The rows.
        clusters: [id, cluster], the id's column first, one row for each of `df`.
        order_by: `column` or `column desc`; nulls come last.

    Raises:
        ConfigError: an order that cannot be read, or a column that is not there.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    id = clusters.columns[0]
    order = ordered(df, order_by)
    names = [f"_order_{place}" for place in range(len(order))]
    # The order's columns may be called `cluster` too.
    values = [column.alias(name) for (column, _), name in zip(order, names, strict=True)]
    rows = df.select(id, *values).join(clusters, id)
    terms = [
        F.col(name).desc_nulls_last() if down else F.col(name).asc_nulls_last()
        for name, (_, down) in zip(names, order, strict=True)
    ]
    cluster = Window.partitionBy("cluster")
    ordered_rows = cluster.orderBy(*terms, id)
    return rows.select(
        id,
        "cluster",
        F.first(id).over(ordered_rows).alias("survivor"),
        F.row_number().over(ordered_rows).alias("place"),
        F.count(F.lit(1)).over(cluster).alias("size"),
    )


def largest_clusters(clusters: DataFrame) -> list[tuple[Any, int]]:
    """(cluster, rows) of the largest clusters of several rows, the largest first."""
    from pyspark.sql import functions as F

    sizes = clusters.groupBy("cluster").count().where("count > 1")
    rows = sizes.orderBy(F.col("count").desc(), "cluster").limit(LARGEST).collect()
    return [(row["cluster"], int(row["count"])) for row in rows]
