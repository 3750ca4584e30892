"""Search for parameters by cross-validation.

Every candidate is fitted on the training rows of each fold and measured on its test rows, by the
definitions of `sparkmine.evaluate`. Candidates of scikit-learn are one Spark job with a task for
each candidate and fold, whose rows every Python worker reads once; others, which Spark or ranks
train in parallel themselves, follow each other. A candidate that raises is a trial that failed.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sparkmine.errors import ConfigError, DataError, SparkmineError
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, better
from sparkmine.evaluate.tables import measure_table
from sparkmine.evaluate.tasks import measure, task_of
from sparkmine.expr import to_column
from sparkmine.mine.scikit import ScikitLearn
from sparkmine.mine.scikit import estimator as scikit
from sparkmine.mine.scikit import job
from sparkmine.mine.scikit.model import predicted
from sparkmine.mine.scikit.rows import Rows
from sparkmine.model import Estimator, Model
from sparkmine.selection.candidates import Distribution, Parameters, drawn, grid_of, with_parameters
from sparkmine.selection.folds import Fold, Folds

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

Progress = Callable[[Mapping[str, Any]], None]
Choose = Literal["best", "one_standard_error"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate and how it did.

    Attributes:
        number: Its place in the grid or among the draws, from 0.
        scores: The metric on the test rows of each fold; empty if one of them failed.
        seconds: Of all its fits and predictions together.
        error: What was raised first; None if nothing was.
    """

    number: int
    parameters: Parameters
    scores: tuple[float, ...]
    seconds: float
    error: str | None = None

    @cached_property
    def mean(self) -> float:
        """Mean score; NaN if the trial failed, or the metric is not defined on a fold."""
        return float(np.mean(self.scores)) if self.scores else math.nan

    @cached_property
    def standard_error(self) -> float:
        """Of the mean, as if folds were independent samples, which they are not quite."""
        if len(self.scores) < 2:
            return math.nan
        return float(np.std(self.scores, ddof=1) / math.sqrt(len(self.scores)))

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        found = {**asdict(self), "mean": self.mean, "standard_error": self.standard_error}
        return {name: _json(value) for name, value in found.items()}


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """All trials, and the model of the chosen one.

    Attributes:
        metric: By which trials are compared.
        chosen: The trial whose parameters the model has.
        estimator: With these parameters.
        model: Fitted on all rows; None without `refit`.
    """

    metric: str
    trials: tuple[Trial, ...]
    chosen: Trial
    estimator: Estimator
    model: Model | None = field(repr=False)

    @property
    def best(self) -> Trial:
        """The trial with the best mean; the first of equal ones."""
        return best_of(self.trials, self.metric)

    @property
    def ranked(self) -> list[Trial]:
        """From the best mean to the worst, then those without one."""
        sign = 1 if self.metric in LOWER_IS_BETTER else -1
        return sorted(
            self.trials,
            key=lambda trial: (math.isnan(trial.mean), 0 if math.isnan(trial.mean) else sign * trial.mean),
        )


def search(
    estimator: Estimator,
    train: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    *,
    folds: Folds,
    grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]] | None = None,
    random: tuple[int, Mapping[str, Distribution]] | None = None,
    metric: str | None = None,
    choose: Choose = "best",
    refit: bool = True,
    seed: int = 0,
    spark: SparkSession | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Try candidates by cross-validation, and fit the chosen one on all rows.

    Args:
        estimator: What the parameters are changed of.
        grid: Values by parameter; all combinations are tried. Several grids are tried one after
            the other.
        random: How many candidates to draw, and from which distribution each parameter.
        metric: Of the task, as `sparkmine.evaluate` defines it; its first choice by default.
        choose: `best` takes the best mean. `one_standard_error` takes the first candidate in the
            order of the grid whose mean is within one standard error of the best one's (Breiman,
            Friedman, Olshen and Stone, "Classification and Regression Trees", 1984): list values
            from simple to complex.
        refit: Whether to fit the chosen one on all rows.
        seed: Of the draws and of every fit.
        progress: Called with an event `trial` for each.

    Raises:
        ConfigError: unknown parameters or metric, no candidates; what the folds raise.
        DataError: rows that nothing can be fitted on, or every candidate failed.
        TooLittleMemoryError: candidates of scikit-learn do not have the memory for these rows.
    """
    if (grid is None) == (random is None):
        raise ConfigError("a search needs either grid= or random=")
    if choose not in ("best", "one_standard_error"):
        raise ConfigError(f"choose is {choose!r}; it must be best or one_standard_error")
    if choose == "one_standard_error" and grid is None:
        raise ConfigError("one_standard_error needs a grid, whose order is from simple to complex")
    candidates = grid_of(grid) if grid is not None else drawn(*random, seed)  # type: ignore[misc]
    kind = task_of(estimator.task)
    (metric,) = kind.check_names((metric or kind.primary,))
    parts = folds.split(data=train, label=label, spark=spark)
    made, trials = _made(estimator, candidates)
    _log.info("%d candidates on %d folds", len(candidates), len(parts))
    how = _CrossValidation(train, tuple(features), label, parts, metric, seed, spark)
    for trial in how.run(made):
        trials[trial.number] = trial
        if progress is not None:
            progress({"event": "trial", "metric": metric, **trial.describe()})
    found = tuple(trials[number] for number in sorted(trials))
    chosen = _chosen(found, metric, choose)
    best = made[chosen.number]
    model = best.fit(train, features, label, seed=seed, spark=spark) if refit else None
    return SearchResult(metric=metric, trials=found, chosen=chosen, estimator=best, model=model)


def best_of(trials: Sequence[Trial], metric: str) -> Trial:
    """The trial with the best mean.

    Raises:
        DataError: none has a mean.
    """
    best = trials[0]
    for trial in trials[1:]:
        if better(metric, trial.mean, best.mean):
            best = trial
    if math.isnan(best.mean):
        errors = [trial.error for trial in trials if trial.error]
        why = f"the first says: {errors[0]}" if errors else f"{metric} is not defined on a fold"
        raise DataError(f"none of {len(trials)} candidates could be measured; {why}")
    return best


def _chosen(trials: Sequence[Trial], metric: str, choose: Choose) -> Trial:
    best = best_of(trials, metric)
    if choose == "best" or math.isnan(best.standard_error):
        return best
    worst = best.standard_error
    return next(trial for trial in trials if abs(trial.mean - best.mean) <= worst)


def _made(
    estimator: Estimator, candidates: Sequence[Parameters]
) -> tuple[dict[int, Estimator], dict[int, Trial]]:
    """The estimators, and trials of candidates that are none. Unknown names end the search."""
    made: dict[int, Estimator] = {}
    failed: dict[int, Trial] = {}
    for number, parameters in enumerate(candidates):
        try:
            made[number] = with_parameters(estimator, parameters)
        except ConfigError as error:
            if "has no parameter" in str(error):
                raise
            failed[number] = _failed(number, parameters, str(error), 0.0)
    return made, failed


def _failed(number: int, parameters: Parameters, error: str, seconds: float) -> Trial:
    return Trial(number=number, parameters=parameters, scores=(), seconds=seconds, error=error)
