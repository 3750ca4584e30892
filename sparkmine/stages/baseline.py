"""baseline: what any model must beat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.model import Model
from sparkmine.stages.base import Block, Context, FeatureSelector
from sparkmine.stages.features import feature_columns
from sparkmine.stages.scored import ModelStage


class MajorityModel(Block):
    """The shares of the classes among the training rows, for every row."""

    kind: Literal["majority"]


class PersistenceModel(Block):
    """A column of the row itself, such as last week's answer: 0 or 1, a class, or a number."""

    kind: Literal["persistence"]
    column: str


class RandomModel(Block):
    """A guess with the classes' shares among the training rows, from a hash of the keys."""

    kind: Literal["stratified_random"]


class ConstantModel(Block):
    """The mean or the median of the training labels, for every row: for a regression."""

    kind: Literal["mean", "median"]


class RuleModel(Block):
    """The best threshold on one column."""

    kind: Literal["single_rule"]
    max_buckets: int = Field(default=256, ge=2)


class Baseline(ModelStage):
    """What any model must beat.

    Attributes:
        features: Columns that `single_rule` may use, a selector; all numbers when left out.
    """

    kind: ClassVar[str] = "baseline"
    stage: Literal["baseline"]
    model: Annotated[
        MajorityModel | PersistenceModel | RandomModel | ConstantModel | RuleModel,
        Field(discriminator="kind"),
    ]
    features: FeatureSelector | None = None

    def check(self, base: Path) -> None:
        super().check(base)
        tasks = {
            "majority": ("binary", "multiclass"),
            "stratified_random": ("binary", "multiclass"),
            "mean": ("regression",),
            "median": ("regression",),
        }.get(self.model.kind)
        if tasks is not None and self.task not in tasks:
            raise ConfigError(
                f"stage {self.name}: {self.model.kind} is for task: {' or '.join(tasks)}"
            )

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import mine

        training, spark = context.inputs[self.input].where(self.train), context.spark
        match self.model:
            case MajorityModel():
                return mine.MajorityClass(task=self._classes).fit(
                    training, self.label, spark=spark
                ), {}
            case PersistenceModel(column=column):
                last = mine.Persistence(column=column, task=self.task)
                return last.fit(training, self.label, spark=spark), {}
            case RandomModel():
                guess = mine.StratifiedRandom(keys=self.keys, seed=context.seed, task=self._classes)
                return guess.fit(training, self.label, spark=spark), {}
            case ConstantModel(kind=statistic):
                return mine.Constant(statistic=statistic).fit(training, self.label, spark=spark), {}
            case RuleModel(max_buckets=buckets):
                features = feature_columns(
                    context, self.input, self.features, [*self.keys, self.label]
                )
                rule = mine.SingleRule(task=self.task, max_buckets=buckets)
                model = rule.fit(training, features, self.label, seed=context.seed, spark=spark)
                return model, {"features": len(features)}

    @property
    def _classes(self) -> Literal["binary", "multiclass"]:
        return "multiclass" if self.task == "multiclass" else "binary"
