"""fuzzy_records: one merged row for each person, company or product."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.dedup.fuzzy import (
    Comparison,
    Linkage,
    LinkedRecords,
    Merge,
    Training,
    check_installed,
)
from sparkmine.stages.base import Block, Context, Names, Result, Stage, TableName

Share = Annotated[float, Field(gt=0.0, le=1.0, strict=False)]
Columns = Annotated[Names, Field(min_length=1)]


class ComparisonBlock(Block):
    """How a column is compared (`dedup.fuzzy.Comparison`)."""

    kind: str
    columns: Columns
    thresholds: list[Annotated[float, Field(strict=False)]] | None = None
    term_frequency: bool | None = None


class TrainingBlock(Block):
    """Where the probabilities come from (`dedup.fuzzy.Training`)."""

    rules: list[Columns]
    certain: list[Columns] = Field(default=[])
    recall: Share = 0.7
    prior: Share | None = None
    sample_pairs: int = 1_000_000
    max_iterations: int = 50
    convergence: Share = 1e-4


class MergeBlock(Block):
    """Where columns of a merged row come from (`dedup.fuzzy.Merge`)."""

    columns: Columns
    take: str
    by: str | None = None


class FuzzyRecords(Stage):
    """Merge the rows of `input` that are one person, company or product, though they differ.

    Pairs that agree in a rule of `blocking` are compared; Splink's model, trained on these very
    rows, gives each a match probability. Clusters are the connected components of the pairs that
    reach `threshold`. Of each cluster the first row by `order_by`, then by `id`, survives, and
    gets values of the others as `merge` says, or else where its own are null.

    `removed/STAGE` lists the other rows, in whose favour they were removed, and the columns that
    they gave; `pairs/STAGE` the pairs with their probability. `verified` is a table of pairs that
    somebody looked at, [a, b, same], from which precision and recall are measured.
    """

    kind: ClassVar[str] = "fuzzy_records"
    stage: Literal["fuzzy_records"]
    input: TableName
    table: TableName
    id: str
    blocking: list[Columns]
    comparisons: list[ComparisonBlock]
    training: TrainingBlock
    threshold: float = Field(default=0.95, gt=0.0, lt=1.0)
    max_pairs: int = 100_000_000
    order_by: Names = Field(default_factory=list)
    merge: list[MergeBlock] = Field(default=[])
    verified: TableName | None = None

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"removed/{self.name}", f"pairs/{self.name}")

    @property
    def reads(self) -> dict[str, str]:
        found = {"input": self.input}
        return found if self.verified is None else {**found, "verified": self.verified}

    @property
    def within_scope(self) -> bool:
        return True

    def check(self, base: Path) -> None:
        self._linkage(0)
        self._merges()
        check_installed()

    def run(self, context: Context) -> Result:
        from sparkmine.dedup.fuzzy import fuzzy_records, measured, merged
        from sparkmine.dedup.survivors import largest_clusters

        df = self.scoped(context, self.input).dataframe(context.spark)
        found = fuzzy_records(df, self._linkage(context.seed))
        together = merged(df, found.clusters, self.order_by, self._merges())
        sides = {
            f"removed/{self.name}": together.removed.withColumnRenamed(self.id, "id"),
            f"pairs/{self.name}": found.pairs,
        }
        versions = {table: context.write_side(table, rows) for table, rows in sides.items()}
        figures = _plain(found)
        figures["largest"] = largest_clusters(found.clusters)
        figures["threshold"] = self.threshold
        if self.verified is not None:
            figures["verified"] = measured(found, context.frame(self.verified))
        return Result(
            frame=together.frame,
            rows_in=figures["rows"],
            quarantined=0,
            removed=together.counts["removed"],
            accounted=True,
            metrics={"fuzzy_records": figures},
            sides=versions,
        )

    def _linkage(self, seed: int) -> Linkage:
        training = self.training.model_dump()
        for name in ("rules", "certain"):
            training[name] = tuple(map(tuple, training[name]))
        return Linkage(
            id=self.id,
            blocking=tuple(map(tuple, self.blocking)),
            comparisons=tuple(
                Comparison(
                    kind=item.kind,
                    columns=tuple(item.columns),
                    thresholds=None if item.thresholds is None else tuple(item.thresholds),
                    term_frequency=item.term_frequency,
                )
                for item in self.comparisons
            ),
            training=Training(**training),
            threshold=self.threshold,
            max_pairs=self.max_pairs,
            seed=seed,
        )

    def _merges(self) -> list[Merge]:
        return [
            Merge(columns=tuple(item.columns), take=item.take, by=item.by) for item in self.merge
        ]


def _plain(found: LinkedRecords) -> dict[str, Any]:
    """Figures, model and examples as JSON."""
    return {
        **found.figures,
        "levels": [dataclasses.asdict(level) for level in found.levels],
        "examples": [dataclasses.asdict(example) for example in found.examples],
    }
