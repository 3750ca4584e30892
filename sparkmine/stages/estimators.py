"""The YAML of supervised models: one block a kind, which gives the estimator of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.model import Estimator, Task
from sparkmine.stages.base import Block
from sparkmine.stages.library import NetworkModel, ScikitLearnModel

# Keys of YAML are texts: {"0": 1, "1": 5}.
Class = Annotated[int, Field(strict=False)]
Weight = Annotated[float, Field(gt=0.0, strict=False)]
Weights = Literal["balanced"] | Mapping[Class, Weight] | None
Penalty = Annotated[float, Field(ge=0.0, strict=False)]
Share = Annotated[float, Field(gt=0.0, le=1.0, strict=False)]
Count = Annotated[int, Field(ge=1)]
Buckets = Annotated[int, Field(ge=2)]


class LogisticModel(Block):
    """Logistic regression: see `sparkmine.mine.LogisticRegression`."""

    kind: Literal["logistic"]
    l1: Penalty = 0.0
    l2: Penalty = 0.0
    max_iterations: Count = 100
    tolerance: Penalty = 1e-6
    standardize: bool = True
    class_weight: Weights = None

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.LogisticRegression(task=task, **self.model_dump(exclude={"kind"}))


class LinearModel(Block):
    """Linear regression, ridge, lasso, elastic net: see `sparkmine.mine.LinearRegression`."""

    kind: Literal["linear"]
    l1: Penalty = 0.0
    l2: Penalty = 0.0
    max_iterations: Count = 100
    tolerance: Penalty = 1e-6
    standardize: bool = True

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.LinearRegression(task=task, **self.model_dump(exclude={"kind"}))


class SvmModel(Block):
    """Linear support vector machine: see `sparkmine.mine.LinearSVM`."""

    kind: Literal["svm"]
    l2: Penalty = 0.01
    max_iterations: Count = 100
    tolerance: Penalty = 1e-6
    standardize: bool = True
    class_weight: Weights = None
    folds: Annotated[int, Field(ge=2)] = 3

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.LinearSVM(task=task, **self.model_dump(exclude={"kind"}))


class BayesModel(Block):
    """Naive Bayes: see `sparkmine.mine.NaiveBayes`."""

    kind: Literal["naive_bayes"]
    variant: Literal["gaussian", "multinomial", "complement", "bernoulli"] = "gaussian"
    smoothing: Penalty = 1.0
    class_weight: Weights = None

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.NaiveBayes(task=task, **self.model_dump(exclude={"kind"}))


class TreeModel(Block):
    """Decision tree: see `sparkmine.mine.DecisionTree`."""

    kind: Literal["tree"]
    max_depth: Annotated[int, Field(ge=1, le=12)] = 5
    min_rows: Count = 1
    min_gain: Penalty = 0.0
    max_buckets: Buckets = 32
    class_weight: Weights = None

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.DecisionTree(task=task, **self.model_dump(exclude={"kind"}))


class ForestModel(Block):
    """Random forest: see `sparkmine.mine.RandomForest`."""

    kind: Literal["random_forest"]
    trees: Count = 100
    max_depth: Annotated[int, Field(ge=1, le=30)] = 8
    min_rows: Count = 1
    min_gain: Penalty = 0.0
    max_buckets: Buckets = 32
    features_share: Share | None = None
    rows_share: Share = 1.0
    class_weight: Weights = None

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.RandomForest(task=task, **self.model_dump(exclude={"kind"}))


class BoostedModel(Block):
    """Gradient-boosted trees: see `sparkmine.mine.GradientBoostedTrees`."""

    kind: Literal["boosted_trees"]
    trees: Count = 50
    learning_rate: Share = 0.1
    max_depth: Annotated[int, Field(ge=1, le=30)] = 4
    min_rows: Count = 1
    min_gain: Penalty = 0.0
    max_buckets: Buckets = 32
    features_share: Share = 1.0
    rows_share: Share = 1.0
    class_weight: Weights = None

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.GradientBoostedTrees(task=task, **self.model_dump(exclude={"kind"}))


# What a stage's `model:` may be; each has `estimator(task)`.
EstimatorBlock = Annotated[
    LogisticModel
    | LinearModel
    | SvmModel
    | BayesModel
    | TreeModel
    | ForestModel
    | BoostedModel
    | ScikitLearnModel
    | NetworkModel,
    Field(discriminator="kind"),
]


def check_estimator(stage: str, key: str, block: EstimatorBlock, task: Task) -> None:
    """Raise ConfigError, with the key, if an estimator does not go together with the task."""
    try:
        block.estimator(task)
    except ConfigError as error:
        raise ConfigError(f"stage {stage}: {key}: {error.text}") from None
