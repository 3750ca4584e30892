"""classical: a model fitted by Spark ML that scores rows."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.model import Model
from sparkmine.stages.base import Block, Context
from sparkmine.stages.features import feature_columns
from sparkmine.stages.scored import ModelStage


class LogisticModel(Block):
    """Logistic regression: see `sparkmine.mine.LogisticRegression`."""

    kind: Literal["logistic"]
    l1: float = Field(default=0.0, ge=0.0, strict=False)
    l2: float = Field(default=0.0, ge=0.0, strict=False)
    max_iterations: int = Field(default=100, ge=1)


class TreeModel(Block):
    """Decision tree: see `sparkmine.mine.DecisionTree`."""

    kind: Literal["tree"]
    max_depth: int = Field(default=5, ge=1, le=12)
    min_rows: int = Field(default=1, ge=1)


class Classical(ModelStage):
    """Fit a classical model by Spark ML."""

    kind: ClassVar[str] = "classical"
    stage: Literal["classical"]
    model: Annotated[LogisticModel | TreeModel, Field(discriminator="kind")]
    features: str | None = None

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import mine

        settings = self.model.model_dump(exclude={"kind"})
        estimator = (
            mine.LogisticRegression(**settings)
            if self.model.kind == "logistic"
            else mine.DecisionTree(**settings)
        )
        features = feature_columns(context, self.input, self.features)
        training = context.inputs[self.input].where(self.train)
        model = estimator.fit(
            training, features, self.label, seed=context.seed, spark=context.spark
        )
        return model, {"features": len(features)}
