"""The YAML of supervised models: one block a kind, which gives the estimator of a task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sparkmine.model import Estimator, Task
from sparkmine.stages.base import Block
from sparkmine.stages.library import NetworkModel, ScikitLearnModel


class LogisticModel(Block):
    """Logistic regression: see `sparkmine.mine.LogisticRegression`."""

    kind: Literal["logistic"]
    l1: float = Field(default=0.0, ge=0.0, strict=False)
    l2: float = Field(default=0.0, ge=0.0, strict=False)
    max_iterations: int = Field(default=100, ge=1)

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.LogisticRegression(task=task, **self.model_dump(exclude={"kind"}))


class TreeModel(Block):
    """Decision tree: see `sparkmine.mine.DecisionTree`."""

    kind: Literal["tree"]
    max_depth: int = Field(default=5, ge=1, le=12)
    min_rows: int = Field(default=1, ge=1)

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.DecisionTree(task=task, **self.model_dump(exclude={"kind"}))


# What a stage's `model:` may be; each has `estimator(task)`.
EstimatorBlock = Annotated[
    LogisticModel | TreeModel | ScikitLearnModel | NetworkModel, Field(discriminator="kind")
]
