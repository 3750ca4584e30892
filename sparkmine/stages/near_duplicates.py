"""near_duplicates: one row for each cluster of texts that are near copies."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from sparkmine.stages.base import Context, Names, Result, Stage, TableName


class NearDuplicates(Stage):
    """Remove near copies of `text` from `input`.

    Texts are near copies if the Jaccard similarity of their shingles is at least `threshold`. Of
    each cluster the first row by `order_by` survives (`column` or `column desc`), then by `id`. The
    others are listed in `removed/STAGE`: their id, their cluster and the row that survived.
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

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"removed/{self.name}",)

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def within_scope(self) -> bool:
        return True

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        from sparkmine.dedup.checkpoint import cut
        from sparkmine.dedup.near import Matching, find
        from sparkmine.dedup.survivors import examples, largest_clusters, survivors

        snapshot = self.scoped(context, self.input)
        df = snapshot.dataframe(context.spark)
        matching = Matching.of(self.threshold, self.shingle, self.size, self.recall)
        found = find(df, self.id, self.text, matching, snapshot.rows)
        gone = F.col("survivor") != F.col(self.id)
        decided, counts = cut(
            survivors(df, found.clusters, self.order_by),
            kept=F.count_if(~gone),
            removed=F.count_if(gone),
        )
        removed = decided.where(gone).select(F.col(self.id).alias("id"), "survivor", "cluster")
        version = context.write_side(self.sides[0], removed)
        figures: dict[str, Any] = dict(found.figures)
        figures["largest"] = largest_clusters(found.clusters)
        figures["examples"] = examples(df, found, self.text)
        figures["threshold"] = self.threshold
        return Result(
            frame=df.join(decided.where(~gone).select(self.id), self.id, "left_semi"),
            rows_in=figures["rows"],
            quarantined=0,
            removed=int(counts["removed"]),
            accounted=True,
            metrics={"near_duplicates": figures},
            sides={self.sides[0]: version},
        )
