"""search: the best of many candidates by cross-validation, fitted on all training rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sparkmine.errors import ConfigError
from sparkmine.model import Model
from sparkmine.stages.base import Block, Context, FeatureSelector, Result
from sparkmine.stages.estimators import EstimatorBlock, check_estimator
from sparkmine.stages.features import feature_columns
from sparkmine.stages.needs import Need
from sparkmine.stages.scored import ModelStage
from sparkmine.stages.validated import FoldsBlock, folds_need, placed

if TYPE_CHECKING:
    from sparkmine.selection import Distribution, SearchResult

Number = Annotated[float, Field(strict=False)]

# Trials that the ledger keeps, from the best, some 400 bytes each; the side table has all.
MAX_KEPT = 2_000


class Drawn(Block):
    """From what a parameter is drawn: exactly one of these."""

    uniform: list[Number] | None = Field(default=None, min_length=2, max_length=2)
    log_uniform: list[Number] | None = Field(default=None, min_length=2, max_length=2)
    integer: list[int] | None = Field(default=None, min_length=2, max_length=2)
    choice: list[Any] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Drawn:
        given = (self.uniform, self.log_uniform, self.integer, self.choice)
        if sum(one is not None for one in given) != 1:
            raise ValueError("give one of uniform, log_uniform, integer, choice")
        return self

    def distribution(self) -> Distribution:
        from sparkmine import selection

        if self.uniform is not None:
            return selection.Uniform(*self.uniform)
        if self.log_uniform is not None:
            return selection.LogUniform(*self.log_uniform)
        if self.integer is not None:
            return selection.Integer(*self.integer)
        return selection.Choice(tuple(self.choice or ()))


class RandomBlock(Block):
    """How many candidates are drawn, and from what each parameter."""

    trials: int = Field(ge=1)
    of: Mapping[str, Drawn] = Field(min_length=1)


class Search(ModelStage):
    """Try parameters of `model` on `folds` of the training rows; score by the best.

    All trials are in the side table `trials/STAGE`: the parameters as JSON, the score of each fold,
    mean, standard error, seconds and error.

    Attributes:
        grid, random: Values by parameter of the model, or how they are drawn.
        metric: Of the task, as in `evaluate`.
        choose: The best mean, or the first of the grid within one standard error of it.
    """

    kind: ClassVar[str] = "search"
    stage: Literal["search"]
    model: EstimatorBlock
    features: FeatureSelector | None = None
    grid: Mapping[str, list[Any]] | list[Mapping[str, list[Any]]] | None = None
    random: RandomBlock | None = None
    folds: FoldsBlock
    metric: str | None = None
    choose: Literal["best", "one_standard_error"] = "best"

    @model_validator(mode="after")
    def _one_of_both(self) -> Search:
        if (self.grid is None) == (self.random is None):
            raise ValueError("give grid or random")
        return self

    @property
    def needs(self) -> Iterable[Need]:
        yield from super().needs
        yield folds_need(self.folds, self.input)

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"trials/{self.name}",)

    def check(self, base: Path) -> None:
        from sparkmine.evaluate import TASKS

        super().check(base)
        check_estimator(self.name, "model", self.model, self.task)
        known = TASKS[self.task].metrics
        if self.metric is not None and self.metric not in known:
            raise ConfigError(
                f"stage {self.name}: no metric {self.metric} of task {self.task}; there are "
                f"{', '.join(known)}"
            )
        for name, drawn in (self.random.of if self.random else {}).items():
            try:
                drawn.distribution()
            except ConfigError as error:
                raise ConfigError(f"stage {self.name}: random.of.{name}: {error.text}") from None
        if self.choose == "one_standard_error" and self.grid is None:
            raise ConfigError(f"stage {self.name}: one_standard_error needs a grid")

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine.selection import search

        features = feature_columns(context, self.input, self.features, [*self.keys, self.label])
        random = None
        if self.random is not None:
            drawn = {name: one.distribution() for name, one in self.random.of.items()}
            random = (self.random.trials, drawn)
        found = search(
            placed(self.model.estimator(self.task), context, self.keys),
            context.inputs[self.input].where(self.train),
            features,
            self.label,
            folds=self.folds.folds(self.keys, context.seed),
            grid=self.grid,
            random=random,
            metric=self.metric,
            choose=self.choose,
            seed=context.seed,
            spark=context.spark,
            progress=context.progress,
        )
        assert found.model is not None
        version = context.write_side(self.sides[0], _table(context, found))
        figures = {
            "metric": found.metric,
            "folds": self.folds.k,
            "chosen": found.chosen.number,
            "best": found.best.number,
            "tried": len(found.trials),
            "failed": sum(trial.error is not None for trial in found.trials),
            "seconds": sum(trial.seconds for trial in found.trials),
            "trials": [trial.describe() for trial in found.ranked[:MAX_KEPT]],
            "version": version,
        }
        return found.model, {"search": figures, "features": len(features)}

    def run(self, context: Context) -> Result:
        result = super().run(context)
        return replace(result, sides={self.sides[0]: result.metrics["search"]["version"]})


def _table(context: Context, found: SearchResult) -> Any:
    rows = [
        (
            trial.number,
            json.dumps(trial.parameters, sort_keys=True, default=str),
            None if math.isnan(trial.mean) else trial.mean,
            None if math.isnan(trial.standard_error) else trial.standard_error,
            list(trial.scores),
            trial.seconds,
            trial.error,
            trial.number == found.chosen.number,
        )
        for trial in found.trials
    ]
    return context.spark.createDataFrame(
        rows,
        "trial int, parameters string, mean double, standard_error double, scores array<double>, "
        "seconds double, error string, chosen boolean",
    )
