"""rules: association rules over the items of baskets."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.stages.base import Condition, Context, Result, Stage, TableName


class Rules(Stage):
    """Mine rules over `item` per `basket` of `input`, where `where` is true."""

    kind: ClassVar[str] = "rules"
    stage: Literal["rules"]
    input: TableName
    table: TableName
    basket: str
    item: str
    where: Condition | None = None
    min_support: float = Field(default=0.01, gt=0.0, le=1.0, strict=False)
    min_confidence: float = Field(default=0.3, ge=0.0, le=1.0, strict=False)
    min_lift: float = Field(default=0.0, ge=0.0, strict=False)
    max_length: int | None = Field(default=None, ge=1)
    max_consequent: int | None = Field(default=1, ge=1)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    def run(self, context: Context) -> Result:
        from sparkmine import mine

        rows = context.frame(self.input, self.where).select(self.basket, self.item)
        rules = mine.association_rules(
            rows,
            basket=self.basket,
            item=self.item,
            min_support=self.min_support,
            min_confidence=self.min_confidence,
            min_lift=self.min_lift,
            max_length=self.max_length,
            max_consequent=self.max_consequent,
        )
        return Result(frame=rules, rows_in=context.inputs[self.input].rows)
