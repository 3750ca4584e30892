"""rules: association rules over the items of baskets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from sparkmine.stages.base import Block, Context, Names, Result
from sparkmine.stages.mined import Measure, MiningStage


class Range(Block):
    """The least and the largest value of a measure."""

    minimum: float | None = Field(default=None, strict=False)
    maximum: float | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Rules(MiningStage):
    """Mine rules, the highest lift first.

    `filters` name measures; a side of a rule holds any of its `has` and none of its `lacks`;
    `prune` leaves out rules whose antecedent could be shorter without loss of confidence.
    """

    kind: ClassVar[str] = "rules"
    stage: Literal["rules"]
    min_confidence: float = Field(default=0.3, ge=0.0, le=1.0, strict=False)
    min_lift: float = Field(default=0.0, ge=0.0, strict=False)
    max_consequent: int | None = Field(default=1, ge=1)
    filters: Mapping[Measure, Range] = Field(default_factory=dict)
    antecedent_has: Names = Field(default_factory=list)
    antecedent_lacks: Names = Field(default_factory=list)
    consequent_has: Names = Field(default_factory=list)
    consequent_lacks: Names = Field(default_factory=list)
    prune: bool = False
    max_rules: int | None = Field(default=None, ge=1)

    def run(self, context: Context) -> Result:
        from sparkmine import mine

        how = mine.AssociationRules(
            min_support=self.min_support,
            min_confidence=self.min_confidence,
            min_lift=self.min_lift,
            max_length=self.max_length,
            max_consequent=self.max_consequent,
            filters={name: (at.minimum, at.maximum) for name, at in self.filters.items()},
            antecedent_has=self.antecedent_has,
            antecedent_lacks=self.antecedent_lacks,
            consequent_has=self.consequent_has,
            consequent_lacks=self.consequent_lacks,
            prune=self.prune,
            max_itemsets=self.max_itemsets,
            max_rules=self.max_rules,
        )
        model = how.fit(self.rows(context), self.basket, self.item, context.spark)
        model.save(context.artifact())
        return Result(
            frame=model.to_frame(context.spark),
            rows_in=context.inputs[self.input].rows,
            metrics={"rules": {"baskets": model.baskets, "itemsets": model.itemsets}},
            artifact=True,
        )
