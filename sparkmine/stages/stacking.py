"""stacking: a final model that learns from the out-of-fold predictions of members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from sparkmine.evaluate.report.weights import weights_of
from sparkmine.model import Model
from sparkmine.stages.base import Context, FeatureSelector
from sparkmine.stages.estimators import EstimatorBlock, check_estimator
from sparkmine.stages.features import feature_columns
from sparkmine.stages.needs import Need
from sparkmine.stages.scored import ModelStage
from sparkmine.stages.validated import FoldsBlock, folds_need, placed


class Stacking(ModelStage):
    """Fit `members` on folds of the training rows, and `final` on what they predict of the others.

    Of several classes `final` learns from the probability that each member gives each of them.

    Attributes:
        members: Estimators by name, as a `model:` of other stages.
        final: The estimator that combines them.
        passthrough: Whether it sees the members' features, too.
    """

    kind: ClassVar[str] = "stacking"
    stage: Literal["stacking"]
    members: Mapping[str, EstimatorBlock] = Field(min_length=1)
    final: EstimatorBlock
    folds: FoldsBlock
    features: FeatureSelector | None = None
    passthrough: bool = False

    @property
    def needs(self) -> Iterable[Need]:
        yield from super().needs
        yield folds_need(self.folds, self.input)

    def check(self, base: Path) -> None:
        super().check(base)
        for name, block in self.members.items():
            check_estimator(self.name, f"members.{name}", block, self.task)
        check_estimator(self.name, "final", self.final, self.task)

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import selection

        features = feature_columns(context, self.input, self.features, [*self.keys, self.label])
        stacking = selection.Stacking(
            members={
                name: placed(block.estimator(self.task), context, self.keys)
                for name, block in self.members.items()
            },
            final=placed(self.final.estimator(self.task), context, self.keys),
            folds=self.folds.folds(self.keys, context.seed),
            passthrough=self.passthrough,
        )
        training = context.inputs[self.input].where(self.train)
        model = stacking.fit(training, features, self.label, seed=context.seed, spark=context.spark)
        figures = {"members": list(self.members), "folds": self.folds.k}
        heaviest = weights_of(getattr(model.final, "details", {}))
        shown = {"heaviest": heaviest} if heaviest else {}
        return model, {"stacking": figures, "features": len(features), **shown}
