"""itemsets: sets of items that often occur together in baskets."""

from __future__ import annotations

from typing import ClassVar, Literal

from sparkmine.stages.base import Context, Result
from sparkmine.stages.mined import MiningStage


class Itemsets(MiningStage):
    """Find the itemsets of at least `min_support`: all, the closed, or the maximal ones."""

    kind: ClassVar[str] = "itemsets"
    stage: Literal["itemsets"]
    keep: Literal["all", "closed", "maximal"] = "all"

    def run(self, context: Context) -> Result:
        from sparkmine.mine.itemsets import find_itemsets

        found, mined = find_itemsets(
            self.rows(context),
            basket=self.basket,
            item=self.item,
            min_support=self.min_support,
            max_length=self.max_length,
            keep=self.keep,
            max_itemsets=self.max_itemsets,
            spark=context.spark,
        )
        return Result(
            frame=found.to_frame(context.spark),
            rows_in=context.inputs[self.input].rows,
            metrics={"itemsets": {"baskets": found.baskets, "mined": mined}},
        )
