"""near_duplicates: one row for each cluster of texts that are near copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, VersionError
from sparkmine.expr import equalities, parse, to_column
from sparkmine.expr.nodes import Column, Compare
from sparkmine.expr.nodes import Literal as Constant
from sparkmine.lake import Lake, Snapshot
from sparkmine.stages.base import Context, Names, Result, Stage, TableName, part_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkmine.dedup import NearDuplicateTables


@dataclass(frozen=True)
class _Decided:
    """Which rows stay, as [id, cluster, survivor], and what the result says of it."""

    rows: DataFrame
    figures: Mapping[str, Any]
    read: Mapping[str, int] = field(default_factory=dict)
    outdated: Sequence[str] = ()


class NearDuplicates(Stage):
    """Remove near copies of `text` from `input`.

    Texts are near copies if the Jaccard similarity of their shingles is at least `threshold`. Of
    each cluster the first row by `order_by` survives (`column` or `column desc`), then by `id`. The
    others are listed in `removed/STAGE`: their id, their cluster and the row that survived.

    With `incremental` the rows of a run's `output.replace`, such as those of a day, are compared
    with those of all other runs too, by what is kept in `kept/STAGE`. Rows that survived on another
    day stay, and their new copies are removed. The first run takes its day and all days before it.
    """

    kind: ClassVar[str] = "near_duplicates"
    stage: Literal["near_duplicates"]
    input: TableName
    table: TableName
    id: str
    text: str
    threshold: float = Field(default=0.7, gt=0.0, le=1.0, strict=False)
    shingle: Literal["word", "char"] = "word"
    size: int | None = Field(default=None, ge=1, le=64)
    recall: float = Field(default=0.99, gt=0.0, lt=1.0)
    order_by: Names = Field(default_factory=list)
    incremental: bool = False

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        from sparkmine.dedup.kept import table_of

        return (f"removed/{self.name}", *([table_of(self._kept)] if self.incremental else ()))

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def within_scope(self) -> bool:
        return True

    def check(self, base: Path) -> None:
        if not self.incremental:
            return
        scope = parse(self.output.replace) if self.output.replace else None
        if scope is None or not scope.columns or set(equalities(scope)) != scope.columns:
            raise ConfigError(
                f"stage {self.name}: incremental needs output.replace that says which rows a run "
                "is about by constants, such as day = '${date}'"
            )

    def earlier(self, lake: Lake) -> Snapshot | None:
        table = lake.table(self.table)
        return table.snapshot() if self.incremental and table.exists() else None

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        from sparkmine.dedup.checkpoint import cut

        first = self.incremental and self.table not in context.inputs
        past = self._past(context) if first else None
        snapshot = self.scoped(context, self.input) if past is None else past
        df = snapshot.dataframe(context.spark)
        rows = df.count() if snapshot.rows is None else snapshot.rows
        if not self.incremental:
            found = self._alone(df, rows)
        elif first:
            found = self._first(context, df, past is not None)
        else:
            found = self._next(context, snapshot)
        gone = F.col("survivor") != F.col(self.id)
        decided, counts = cut(found.rows, kept=F.count_if(~gone), removed=F.count_if(gone))
        removed = decided.where(gone).select(F.col(self.id).alias("id"), "survivor", "cluster")
        version = context.write_side(self.sides[0], removed)
        figures = {**found.figures, "threshold": self.threshold}
        if self.incremental:
            figures |= {"rows": rows, "survived": int(counts["kept"])}
        return Result(
            frame=df.join(decided.where(~gone).select(self.id), self.id, "left_semi"),
            rows_in=rows,
            quarantined=0,
            removed=int(counts["removed"]),
            accounted=True,
            metrics={"near_duplicates": figures},
            sides={self.sides[0]: version},
            read=found.read,
            outdated=found.outdated,
            whole=past is not None,
        )

    def _alone(self, df: DataFrame, rows: int) -> _Decided:
        """Rows that are compared with one another."""
        from sparkmine.dedup.near import Matching, find
        from sparkmine.dedup.survivors import largest_clusters, survivors
        from sparkmine.dedup.verified import by_spark, texts_of

        matching = Matching.of(self.threshold, self.shingle, self.size, self.recall)
        found = find(df, self.id, self.text, matching, rows)
        pairs = by_spark(found.members, found.pairs(), found.figures["edges"])
        shown = {
            "largest": largest_clusters(found.clusters),
            **pairs.figures(texts_of(df, self.id, self.text, pairs.ids)),
        }
        return _Decided(survivors(df, found.clusters, self.order_by), {**found.figures, **shown})

    def _past(self, context: Context) -> Snapshot | None:
        """The rows of a run and of all before it, if these are rows of several parts.

        That is known where `output.replace` is about one column of days or numbers.
        """
        from sparkmine.dedup.nights import is_ordered

        (column, value), *more = equalities(parse(self.output.replace or "")).items()
        snapshot = context.inputs[self.input]
        if more or not is_ordered(snapshot.schema[column].dataType, value):
            return None
        earlier = snapshot.where(Compare("<", Column(column), Constant(value)))
        if not earlier.files or earlier.dataframe(context.spark).isEmpty():
            return None
        return snapshot.where(Compare("<=", Column(column), Constant(value)))

    def _first(self, context: Context, df: DataFrame, several: bool) -> _Decided:
        """Rows of one part or several, before which there were none.

        Of each cluster the first row by part, then by order, is published.
        """
        from pyspark.sql import functions as F

        from sparkmine.dedup import nights
        from sparkmine.dedup.survivors import largest_clusters, survivors

        column = next(iter(equalities(parse(self.output.replace or ""))))
        version, figures = self._then(context), dict[str, Any]()
        if context.scratch is None:
            tables = self._tables(context)
            if several:
                documents = nights.with_parts(df, column, lambda it: part_name({column: it}))
            else:
                documents = df.withColumn(nights.NAME, F.lit(self.part))
            # The fingerprint is about the rows of one part.
            work = f"{context.fingerprint}@-1 of {context.inputs[self.input].version}"
            figures |= tables.load(documents, nights.NAME, work)
            version = tables.version
        if version is None:  # there were no rows yet
            return _Decided(_nothing(df, self.id), _figures(figures, 0, []))
        members = self._tables(context).members(version).select(self.id, "cluster")
        clusters = members.join(df.select(self.id), self.id, "left_semi")
        rows = survivors(df, clusters, [column, *self.order_by])
        number = clusters.select("cluster").distinct().count()
        counted = _figures(figures, number, largest_clusters(clusters))
        return _Decided(rows, counted, {self.sides[1]: version})

    def _then(self, context: Context) -> int | None:
        """The version of what is kept that a run left, for its replay."""
        then = context.inputs.get(self.sides[1])
        return None if then is None else then.version

    def _next(self, context: Context, snapshot: Snapshot) -> _Decided:
        """Rows that are compared with those of other parts too."""
        from pyspark.sql import functions as F

        from sparkmine.dedup import nights
        from sparkmine.dedup.survivors import largest_clusters

        df = snapshot.dataframe(context.spark)
        own = context.inputs[self.table]
        inside = F.coalesce(to_column(parse(self.output.replace or "")), F.lit(False))
        tables = self._tables(context)
        version, figures = self._then(context), dict[str, Any]()
        if context.scratch is None:
            version = tables.version
            if version is None and not own.dataframe(context.spark).where(~inside).isEmpty():
                raise VersionError(
                    f"stage {self.name}: {self.table} has rows of other runs, and what was kept of "
                    f"them in {self._kept} is gone; move {self.table} away, and run again: the "
                    "first run takes its day and all before it"
                )
            figures |= tables.replace(snapshot, self.part, f"{context.fingerprint}@{own.version}")
            version = tables.version
        if version is None:  # there were no rows yet
            return _Decided(_nothing(df, self.id), _figures(figures, 0, []))
        members = tables.members(version)
        published = own.dataframe(context.spark).where(~inside).select(self.id)
        rows = nights.of_part(df, members, self.part, published, self.order_by)
        mine = members.where(F.col("part") == self.part).select("cluster").distinct()
        touched = members.join(mine, "cluster", "left_semi").select(self.id, "cluster")
        outdated: list[str] = []
        if own.where(self.output.replace or "").files:
            outdated = nights.left_alone(members, self.part, published)
        counted = _figures(figures, mine.count(), largest_clusters(touched))
        return _Decided(rows, counted, {self.sides[1]: version}, outdated)

    @property
    def _kept(self) -> str:
        return f"kept/{self.name}"

    def _tables(self, context: Context) -> NearDuplicateTables:
        from sparkmine.dedup import NearDuplicateTables

        return NearDuplicateTables(
            context.lake,
            self._kept,
            self.id,
            self.text,
            self.threshold,
            shingle=self.shingle,
            size=self.size,
            recall=self.recall,
        )


def _nothing(df: DataFrame, id: str) -> DataFrame:
    """[id, cluster, survivor] without rows."""
    from pyspark.sql import functions as F

    names = (F.col(id).alias(name) for name in ("cluster", "survivor"))
    return df.select(id, *names).where(F.lit(False))


def _figures(
    figures: Mapping[str, Any], clusters: int, largest: Sequence[tuple[Any, int]]
) -> dict[str, Any]:
    """What the ledger and the report are told of a part.

    Args:
        figures: Of the tables; none in a replay.
        clusters: With rows of this part.
        largest: Of these, with all their rows.
    """
    found = dict(figures)
    return {**found, "new": found.pop("rows", 0), "clusters": clusters, "largest": list(largest)}
