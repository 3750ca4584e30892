"""clean: row rules; bad rows to quarantine, good rows to the clean table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sparkmine.clean.quarantine import decide
from sparkmine.clean.rules import REASONS, Check, column_checks, expression_check, with_reasons
from sparkmine.stages.base import Block, Condition, Context, Result, Stage, TableName

Constant = bool | int | float | str


class ColumnRule(Block):
    """What the values of one column must be. Null passes all but `not_null`."""

    type: Literal["double", "long", "string", "boolean", "date", "timestamp"] | None = None
    not_null: bool = False
    minimum: Constant | None = None
    maximum: Constant | None = None
    allowed: Annotated[list[Constant], Field(min_length=1)] | None = None


class Clean(Stage):
    """Keep the rows of `input` that pass all rules; rows in = kept + quarantined."""

    kind: ClassVar[str] = "clean"
    stage: Literal["clean"]
    input: TableName
    table: TableName
    columns: Mapping[str, ColumnRule] = {}
    conditions: Mapping[str, Condition] = {}
    max_bad_fraction: float = Field(default=0.05, ge=0.0, le=1.0, strict=False)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"quarantine/{self.name}",)

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def within_scope(self) -> bool:
        return True

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        df = with_reasons(context.frame(self.input, self.output.replace), self._checks())
        version = context.inputs[self.input].version
        tally = context.quarantine(df, self.sides[0], F.lit(f"{self.input}@{version}"))
        decide(tally, self.max_bad_fraction, self.name, self.sides[0])
        rows = max(tally.rows, 1)
        return Result(
            frame=df.where(F.size(REASONS) == 0).drop(REASONS),
            rows_in=tally.rows,
            quarantined=tally.quarantined,
            removed=0,
            accounted=True,
            metrics={
                "reasons": tally.reasons,
                "missing": {name: count / rows for name, count in tally.missing.items()},
            },
            sides={self.sides[0]: tally.version},
        )

    def _checks(self) -> list[Check]:
        checks = [
            check
            for name, rule in self.columns.items()
            for check in column_checks(
                name,
                type_name=rule.type,
                not_null=rule.not_null,
                minimum=rule.minimum,
                maximum=rule.maximum,
                allowed=rule.allowed,
            )
        ]
        return [*checks, *(expression_check(n, text) for n, text in self.conditions.items())]
