"""dedup: one row for each key, or for each distinct row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sparkmine.dedup.exact import Equality, Groups
from sparkmine.stages.base import Context, Names, Result, Stage, TableName

Steps = Annotated[Names, Field(min_length=1)]


class Dedup(Stage):
    """Remove exact duplicates of `input`.

    `key` is a list of columns, or is left out for whole rows. Their values are compared after the
    steps of `normalise`: `nfkc`, `control`, `spaces`, `lower`, `upper`. Of rows with one key the
    `newest` by a column survives, or the `most_complete`, then the first by `order_by` (`column`
    or `column desc`), then by all columns. The others are listed in `removed/STAGE`.
    """

    kind: ClassVar[str] = "dedup"
    stage: Literal["dedup"]
    input: TableName
    table: TableName
    key: Names | None = None
    normalise: Mapping[str, Steps] = {}
    newest: str | None = None
    most_complete: bool = False
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

    def check(self, base: Path) -> None:
        self._equality()

    def run(self, context: Context) -> Result:
        snapshot = self.scoped(context, self.input)
        groups = Groups.of(snapshot.dataframe(context.spark), self._equality())
        # The rows that stay, those that go and the figures are of one shuffle.
        groups.rows.persist()
        try:
            version = context.write_side(self.sides[0], groups.removed())
            figures = groups.figures()
        except BaseException:
            groups.rows.unpersist()
            raise
        return Result(
            frame=groups.kept(),
            rows_in=figures["rows"] if snapshot.rows is None else snapshot.rows,
            quarantined=0,
            removed=figures["removed"],
            accounted=True,
            metrics={"dedup": figures},
            sides={self.sides[0]: version},
            cached=groups.rows,
        )

    def _equality(self) -> Equality:
        return Equality(
            key=None if self.key is None else tuple(self.key),
            normalise={name: tuple(steps) for name, steps in self.normalise.items()},
            newest=self.newest,
            most_complete=self.most_complete,
            order_by=tuple(self.order_by),
        )
