"""One record of several: which row of a cluster survives, and which values it gets.

One shuffle of the rows whose cluster has more than one; each value is chosen by a total order
that ends in the place of its row, so the result depends on the rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.survivors import survivors
from sparkmine.errors import ConfigError
from sparkmine.expr.columns import quoted
from sparkmine.lake.inputs import need_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TAKES = (
    *("survivor", "first", "newest", "oldest", "most_frequent", "most_complete"),
    *("longest", "greatest", "least"),
)
_BY = ("newest", "oldest")
_VALUES = ("greatest", "least")
_COMPARED = (*_VALUES, "most_frequent")
_FROM = "_from"


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Where some columns of a merged record come from: all from one row of the cluster.

    Rows where all of them are null come last. What is equal is decided by the order of the rows.

    Attributes:
        columns: The columns; an address should be one entry, or it is mixed from several.
        take: `survivor`, the surviving row; `first` by the order; `newest` and `oldest` by the
            column `by`; `most_frequent`; `most_complete`, the fewest nulls among the columns;
            `longest`, the most characters; `greatest` and `least`, of one column.
        by: The column that dates a row.
    """

    columns: tuple[str, ...]
    take: str
    by: str | None = None

    def __post_init__(self) -> None:
        named = ", ".join(self.columns)
        if not self.columns:
            raise ConfigError("merge: an entry names at least one column")
        if self.take not in TAKES:
            raise ConfigError(f"merge of {named}: take is one of {', '.join(TAKES)}")
        if (self.by is None) == (self.take in _BY):
            need = "needs `by`, a column" if self.by is None else "takes no `by`"
            raise ConfigError(f"merge of {named}: {self.take} {need}")
        if self.take in _VALUES and len(self.columns) > 1:
            raise ConfigError(f"merge of {named}: {self.take} takes one column")


@dataclass(frozen=True)
class Merged:
    """Rows in are rows kept and removed.

    Attributes:
        frame: The rows kept, with the columns of the input.
        removed: [id, survivor, cluster, gave]: the other rows, and the columns whose values went
            from them into the survivor.
        counts: Rows kept and removed.
    """

    frame: DataFrame
    removed: DataFrame
    counts: dict[str, int]


def merged(
    df: DataFrame,
    clusters: DataFrame,
    order_by: Sequence[str] = (),
    merge: Sequence[Merge] = (),
) -> Merged:
    """Merge the rows of each cluster into one.

    The first row by `order_by`, then by id, survives: it gives its id. A column that no entry of
    `merge` names has the first value by that order that is not null.

    Args:
        df: The rows.
        clusters: [id, cluster], one row for each of `df`, as `fuzzy_records` finds them.
        order_by: `column` or `column desc`; nulls come last.
        merge: Other choices, for some columns.

    Raises:
        ConfigError: a column that is missing, is in two entries or is the id; a type that cannot
            be compared.
    """
    from pyspark.sql import functions as F

    id = clusters.columns[0]
    entries = _entries(df, id, merge)
    gone = F.col("place") > 1
    decided, counts = cut(
        survivors(df, clusters, order_by), kept=F.count_if(~gone), removed=F.count_if(gone)
    )
    alone = decided.where("size = 1")
    # Read twice, for the rows kept and for what the others gave.
    records, _ = cut(_records(df, id, decided.where("size > 1"), entries))
    kept = records.select(*(_value(name, id, entries) for name in df.columns))
    single = df.join(alone.select(id), id, "left_semi").select(*map(quoted, df.columns))
    frame = single.unionByName(kept)
    removed = decided.where(gone).select(id, "survivor", "cluster")
    return Merged(frame, _with_gifts(removed, records, id, entries), counts)


def _entries(df: DataFrame, id: str, merge: Sequence[Merge]) -> list[Merge]:
    """The entries, and one for each column that none names."""
    named = [name for entry in merge for name in entry.columns]
    need_columns(df, [*named, *(entry.by for entry in merge if entry.by)])
    for name in named:
        if name == id:
            raise ConfigError(f"merge: the id {id!r} is always the survivor's")
        if named.count(name) > 1:
            raise ConfigError(f"merge: column {name!r} is in two entries")
    for entry in merge:
        compared = list(entry.columns) if entry.take in _COMPARED else []
        for name in [entry.by, *compared] if entry.by else compared:
            if df.schema[name].dataType.typeName() == "map":
                raise ConfigError(
                    f"merge: column {name!r} is a map, which {entry.take} cannot order"
                )
    rest = [name for name in df.columns if name != id and name not in named]
    return [*merge, *(Merge(columns=(name,), take="first") for name in rest)]


def _records(df: DataFrame, id: str, together: DataFrame, entries: list[Merge]) -> DataFrame:
    """[cluster, _survivor, _0, _1, ...] of each cluster: a struct for each entry."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    # The table's own columns may have the names of ours.
    columns = {name: F.col(f"row.{quoted(name)}") for name in df.columns}
    marks = together.select(id, F.struct("cluster", "place").alias("_mark"))
    rows = df.select(F.col(id), F.struct(*map(quoted, df.columns)).alias("row")).join(marks, id)
    place = F.col("_mark.place")
    counts = []
    for number, entry in enumerate(entries):
        if entry.take == "most_frequent":
            same = [F.col("_mark.cluster"), *(columns[name] for name in entry.columns)]
            counted = F.count(F.lit(1)).over(Window.partitionBy(*same))
            counts.append(counted.alias(f"_count_{number}"))
    rows = rows.select("*", *counts)
    chosen = []
    for number, entry in enumerate(entries):
        values = [columns[name].alias(name) for name in entry.columns]
        value = F.struct(*values, columns[id].alias(_FROM))
        chosen.append(_chosen(entry, columns, value, place, f"_count_{number}").alias(f"_{number}"))
    survivor = F.min_by(columns[id], place).alias("_survivor")
    return rows.groupBy(F.col("_mark.cluster").alias("cluster")).agg(survivor, *chosen)


def _chosen(
    entry: Merge, columns: dict[str, Any], value: Column, place: Column, count: str
) -> Column:
    from pyspark.sql import functions as F

    those = [columns[name] for name in entry.columns]
    present = [F.when(column.isNotNull(), 1).otherwise(0) for column in those]
    some = F.greatest(*present, F.lit(0))
    match entry.take:
        case "survivor":
            return F.min_by(value, place)
        case "first":
            return F.min_by(value, F.struct(-some, place))
        case "oldest" | "least":
            by = columns[entry.by] if entry.by else those[0]
            return F.min_by(value, F.struct(-some, by.isNull(), by, place))
        case "newest":
            best = columns[entry.by or ""]
        case "greatest":
            best = those[0]
        case "most_frequent":
            best = F.col(count)
        case "most_complete":
            best = sum(present, F.lit(0))
        case _:
            lengths = [F.coalesce(F.length(column.cast("string")), F.lit(0)) for column in those]
            best = sum(lengths, F.lit(0))
    # Nulls are least in the order of structs.
    return F.max_by(value, F.struct(some, best, -place))


def _value(name: str, id: str, entries: list[Merge]) -> Column:
    from pyspark.sql import functions as F

    if name == id:
        return F.col("_survivor").alias(id)
    number = next(i for i, entry in enumerate(entries) if name in entry.columns)
    return F.col(f"_{number}.{quoted(name)}").alias(name)


def _with_gifts(removed: DataFrame, records: DataFrame, id: str, entries: list[Merge]) -> DataFrame:
    """`removed` with `gave`, the sorted names of the columns that went into the survivor."""
    from pyspark.sql import functions as F

    gifts = [
        F.when(
            F.col(f"_{number}.{quoted(name)}").isNotNull(),
            F.struct(F.col(f"_{number}.{_FROM}").alias(id), F.lit(name).alias("_name")),
        )
        for number, entry in enumerate(entries)
        for name in entry.columns
    ]
    given = (
        records.select(F.explode(F.array_compact(F.array(*gifts))).alias("gift"))
        .select("gift.*")
        .groupBy(id)
        .agg(F.array_sort(F.collect_list("_name")).alias("gave"))
    )
    none = F.array().cast("array<string>")
    return removed.join(given, id, "left").withColumn("gave", F.coalesce("gave", none))
