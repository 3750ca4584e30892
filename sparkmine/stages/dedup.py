"""dedup: one row for each key, or for each distinct row."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.dedup import exact
from sparkmine.stages.base import Context, Names, Result, Stage, TableName


class Dedup(Stage):
    """Remove exact duplicates of `input`.

    `key` is a list of columns, or is left out for whole rows. Of rows with one key the first by
    `order_by` survives (`column` or `column desc`), then by all other columns.
    """

    kind: ClassVar[str] = "dedup"
    stage: Literal["dedup"]
    input: TableName
    table: TableName
    key: Names | None = None
    order_by: Names = Field(default_factory=list)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def within_scope(self) -> bool:
        return True

    def run(self, context: Context) -> Result:
        snapshot = self.scoped(context, self.input)
        df = snapshot.dataframe(context.spark)
        rows = snapshot.rows if snapshot.rows is not None else df.count()
        return Result(
            frame=exact(df, self.key, self.order_by), rows_in=rows, quarantined=0, accounted=True
        )
