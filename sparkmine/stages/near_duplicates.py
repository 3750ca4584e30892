"""near_duplicates: one row for each cluster of texts that are near copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, VersionError
from sparkmine.expr import equalities, parse, to_column
from sparkmine.lake import Lake, Snapshot
from sparkmine.stages.base import Context, Names, Result, Stage, TableName

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
    day stay, and their new copies are removed.
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
        kept = (f"{self._kept}/documents", f"{self._kept}/pieces") if self.incremental else ()
        return (f"removed/{self.name}", *kept)

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

        snapshot = self.scoped(context, self.input)
        df = snapshot.dataframe(context.spark)
        rows = df.count() if snapshot.rows is None else snapshot.rows
        found = self._next(context, snapshot) if self.incremental else self._alone(df, rows)
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
        )

    def _alone(self, df: DataFrame, rows: int) -> _Decided:
        """Rows that are compared with one another."""
        from sparkmine.dedup.near import Matching, find
        from sparkmine.dedup.survivors import examples, largest_clusters, survivors

        matching = Matching.of(self.threshold, self.shingle, self.size, self.recall)
        found = find(df, self.id, self.text, matching, rows)
        shown = {
            "largest": largest_clusters(found.clusters),
            "examples": examples(df, found, self.text),
        }
        return _Decided(survivors(df, found.clusters, self.order_by), {**found.figures, **shown})

    def _next(self, context: Context, snapshot: Snapshot) -> _Decided:
        """Rows that are compared with those of other parts too."""
        from pyspark.sql import functions as F

        from sparkmine.dedup import nights
        from sparkmine.dedup.survivors import largest_clusters

        df = snapshot.dataframe(context.spark)
        own = context.inputs.get(self.table)
        inside = F.coalesce(to_column(parse(self.output.replace or "")), F.lit(False))
        tables = self._tables(context)
        documents = self.sides[1]
        figures: Mapping[str, int] = {}
        if context.scratch is not None:  # a replay looks at what there was
            then = context.inputs.get(documents)
            version = None if then is None else then.version
        else:
            version = tables.version
            others = own is not None and not own.dataframe(context.spark).where(~inside).isEmpty()
            if version is None and others:
                raise VersionError(
                    f"stage {self.name}: {self.table} has rows of other runs, and what was kept of "
                    f"them in {self._kept} is gone; move {self.table} away, and run for each "
                    "earlier date again, the first one first"
                )
            work = f"{context.fingerprint}@{-1 if own is None else own.version}"
            figures = tables.replace(snapshot, self.part, work)
            version = tables.version
        if version is None:  # there were no rows yet
            return _Decided(_nothing(df, self.id), _figures(figures, 0, []))
        members = tables.members(version)
        published = _nothing(df, self.id).select(self.id)
        if own is not None:
            published = own.dataframe(context.spark).where(~inside).select(self.id)
        rows = nights.of_part(df, members, self.part, published, self.order_by)
        mine = members.where(F.col("part") == self.part).select("cluster").distinct()
        touched = members.join(mine, "cluster", "left_semi").select(self.id, "cluster")
        outdated: list[str] = []
        if own is not None and own.where(self.output.replace or "").files:
            outdated = nights.left_alone(members, self.part, published)
        counted = _figures(figures, mine.count(), largest_clusters(touched))
        return _Decided(rows, counted, {documents: version}, outdated)

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
    figures: Mapping[str, int], clusters: int, largest: Sequence[tuple[Any, int]]
) -> dict[str, Any]:
    """What the ledger and the report are told of a part.

    Args:
        figures: Of the tables; none in a replay.
        clusters: With rows of this part.
        largest: Of these, with all their rows.
    """
    found = dict(figures)
    return {**found, "new": found.pop("rows", 0), "clusters": clusters, "largest": list(largest)}
