"""What stages share that look for items which occur together in baskets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from sparkmine.lake import Snapshot
from sparkmine.stages.base import Condition, Context, Stage, TableName
from sparkmine.stages.needs import Need, asked, named

Measure = Literal["support", "confidence", "lift", "leverage", "conviction", "zhang"]


class BasketStage(Stage):
    """What is mined: the `item`s of each `basket` of `input`, where `where` is true."""

    input: TableName
    table: TableName
    basket: str
    item: str
    where: Condition | None = None

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("basket", self.input, self.basket)
        yield named("item", self.input, self.item)
        yield asked("where", self.input, self.where)

    def rows(self, context: Context) -> Snapshot:
        """What is mined, as a snapshot: a small one is read without a Spark job."""
        return context.rows(self.input, self.where)


class MiningStage(BasketStage):
    """How much of it: itemsets of at least `min_support` and at most `max_length` items."""

    min_support: float = Field(default=0.01, gt=0.0, le=1.0, strict=False)
    max_length: int | None = Field(default=None, ge=1)
    max_itemsets: int | None = Field(default=None, ge=1)
