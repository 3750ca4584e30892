"""recommend: association rules applied to baskets."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.stages.base import Context, Result, TableName
from sparkmine.stages.mined import BasketStage, Measure


class Recommend(BasketStage):
    """For each basket the `top_k` items that `rules`, a table of the stage `rules`, recommend.

    The table, not the model beside it, says which rules: a query in between may choose among them.
    """

    kind: ClassVar[str] = "recommend"
    stage: Literal["recommend"]
    rules: TableName
    top_k: int = Field(default=5, ge=1)
    score: Measure = "confidence"

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input, "rules": self.rules}

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        from sparkmine import mine

        rows = self.rows(context)
        held = rows.dataframe(context.spark).where(
            F.col(f"`{self.basket}`").isNotNull() & F.col(f"`{self.item}`").isNotNull()
        )
        found = mine.recommend(
            rows,
            context.frame(self.rules),
            basket=self.basket,
            item=self.item,
            top_k=self.top_k,
            score=self.score,
            spark=context.spark,
        )
        baskets = held.select(f"`{self.basket}`").distinct().count()
        return Result(
            frame=found,
            rows_in=context.inputs[self.input].rows,
            metrics={"recommend": {"baskets": baskets}},
        )
