"""Search for parameters by cross-validation.

Every candidate is fitted on the training rows of each fold and measured on its test rows, by the
definitions of `sparkmine.evaluate`. Candidates of scikit-learn are one Spark job with a task for
each candidate and fold, whose rows every Python worker reads once; others, which Spark or ranks
train in parallel themselves, follow each other. A candidate that raises is a trial that failed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, better
from sparkmine.evaluate.tasks import task_of
from sparkmine.lake.inputs import session_of
from sparkmine.model import Estimator, Model
from sparkmine.selection.candidates import Distribution, Parameters, drawn, grid_of, with_parameters
from sparkmine.selection.folds import Folds
from sparkmine.selection.trials import Trial
from sparkmine.selection.validation import Validated, outcomes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

Progress = Callable[[Mapping[str, Any]], None]
Choose = Literal["best", "one_standard_error"]

_log = logging.getLogger(__name__)


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
        measured = [trial for trial in self.trials if not math.isnan(trial.mean)]
        measured.sort(key=lambda trial: sign * trial.mean)
        return measured + [trial for trial in self.trials if math.isnan(trial.mean)]


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
    if grid is not None:
        candidates = grid_of(grid)
    else:
        assert random is not None
        number, distributions = random
        candidates = drawn(number, distributions, seed)
    kind = task_of(estimator.task)
    (metric,) = kind.check_names((metric or kind.primary,))
    parts = folds.split(data=train, label=label, spark=spark)
    made, failed = _made(estimator, candidates)
    _log.info("%d candidates on %d folds", len(made), len(parts))
    rows = Validated(
        data=train,
        features=tuple(features),
        label=label,
        folds=parts,
        metric=metric,
        seed=seed,
        spark=session_of(train, spark),
    )
    found = list(failed)
    for number, outcome in outcomes(rows, made):
        trial = Trial.of(number, candidates[number], outcome)
        found.append(trial)
        if progress is not None:
            progress({"event": "trial", "metric": metric, **trial.describe()})
    found.sort(key=lambda trial: trial.number)
    chosen = _chosen(found, metric, choose)
    best = made[chosen.number]
    model = best.fit(train, features, label, seed=seed, spark=spark) if refit else None
    return SearchResult(
        metric=metric, trials=tuple(found), chosen=chosen, estimator=best, model=model
    )


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
) -> tuple[dict[int, Estimator], list[Trial]]:
    """The estimators, and a failed trial for each candidate that cannot be one."""
    made: dict[int, Estimator] = {}
    failed = []
    for number, parameters in enumerate(candidates):
        try:
            made[number] = with_parameters(estimator, parameters)
        except ConfigError as error:
            if number == len(candidates) - 1 and not made:  # none will do: a name that is not there
                raise
            failed.append(Trial.failed(number, parameters, error))
    return made, failed
