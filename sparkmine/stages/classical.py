"""classical: a model fitted by Spark ML that scores rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from sparkmine.model import Model
from sparkmine.stages.base import Context, FeatureSelector
from sparkmine.stages.estimators import EstimatorBlock, check_estimator
from sparkmine.stages.features import feature_columns
from sparkmine.stages.scored import ModelStage
from sparkmine.stages.validated import placed


class Classical(ModelStage):
    """Fit a classical model by Spark ML: `model.kind` says which, `task` what the label is."""

    kind: ClassVar[str] = "classical"
    stage: Literal["classical"]
    model: EstimatorBlock
    features: FeatureSelector | None = None

    def check(self, base: Path) -> None:
        super().check(base)
        check_estimator(self.name, "model", self.model, self.task)

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        features = feature_columns(context, self.input, self.features, [*self.keys, self.label])
        training = context.inputs[self.input].where(self.train)
        estimator = placed(self.model.estimator(self.task), context, self.keys)
        model = estimator.fit(
            training, features, self.label, seed=context.seed, spark=context.spark
        )
        return model, {"features": len(features)}
