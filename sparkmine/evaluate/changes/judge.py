"""Which run has the better figures.

The change of a figure has an interval where the resamples of both evaluations are known
(`replicates.py`): a paired one over the same rows, else that of independent samples. Where they are
not known only the two intervals are: if they do not touch they show a difference at well above 95 %
confidence; if they do they may still hide one (Schenker and Gentleman 2001), so overlapping is
never called "no change".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sparkmine.evaluate.changes.data import EvaluationPair
from sparkmine.evaluate.comparison import Evaluation, ModelEvaluation
from sparkmine.evaluate.intervals import Interval
from sparkmine.evaluate.metrics import better
from sparkmine.evaluate.replicates import change as change_interval
from sparkmine.evaluate.tasks import TASKS

Better = Literal["A", "B", "equal", ""]


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """One metric of a model in both runs; a side is None where it was not measured.

    `change` is B minus A, `interval` its bounds where the resamples are known, `paired` when both
    are of the same rows; `better` is empty where a side has no value; `apart` is true when the
    intervals do not touch.
    """

    metric: str
    a: Interval | None
    b: Interval | None
    change: float | None = None
    better: Better = ""
    apart: bool = False
    interval: Interval | None = None
    paired: bool = False

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval of the change does not hold 0."""
        found = self.interval
        if found is None or found.low is None or found.high is None:
            return False
        return found.low > 0 or found.high < 0


@dataclass(frozen=True, kw_only=True)
class ModelChange:
    """One model; `only` names the run that alone has it."""

    name: str
    baseline: bool
    only: Literal["A", "B", ""]
    metrics: dict[str, MetricChange]


def primaries_of(pair: EvaluationPair) -> tuple[str, ...]:
    """The metrics by which the runs compare models: one, unless they differ; B's first."""
    found = (one.primary for one in (pair.b, pair.a) if one is not None)
    return tuple(dict.fromkeys(found))


def metrics_of(pair: EvaluationPair) -> tuple[str, ...]:
    """The metrics that are defined in a run, the primary one first."""
    defined = {m for one in (pair.a, pair.b) if one is not None for m in one.metric_names}
    tasks = [one.task for one in (pair.b, pair.a) if one is not None]
    known = [metric for task in dict.fromkeys(tasks) for metric in TASKS[task].metrics]
    ordered = dict.fromkeys([*primaries_of(pair), *known])
    return tuple(m for m in ordered if m in defined or m in primaries_of(pair))


def models_of(pair: EvaluationPair) -> tuple[ModelChange, ...]:
    """Every model of both runs, in the order of B, then those that only A has."""
    names = dict.fromkeys(model.name for e in (pair.b, pair.a) if e for model in e.models)
    metrics = metrics_of(pair)
    found = []
    for name in names:
        a, b = _find(pair.a, name), _find(pair.b, name)
        one = b or a
        assert one is not None
        found.append(
            ModelChange(
                name=name,
                baseline=one.baseline,
                only="" if a and b else "A" if a else "B",
                metrics={m: _changed(pair, m, a, b) for m in metrics},
            )
        )
    return tuple(found)


def change_of(metric: str, a: Interval | None, b: Interval | None) -> MetricChange:
    """One metric in both runs."""
    if a is None or b is None or a.value is None or b.value is None:
        return MetricChange(metric=metric, a=a, b=b)
    word: Better = "equal"
    if better(metric, b.value, a.value):
        word = "B"
    elif better(metric, a.value, b.value):
        word = "A"
    return MetricChange(
        metric=metric, a=a, b=b, change=b.value - a.value, better=word, apart=_apart(a, b)
    )


def _changed(
    pair: EvaluationPair, metric: str, a: ModelEvaluation | None, b: ModelEvaluation | None
) -> MetricChange:
    """One metric of a model of A and one of B, with the interval of the change."""
    found = change_of(metric, _metric(a, metric), _metric(b, metric))
    if found.change is None or None in (a, b, pair.a, pair.b):
        return found
    assert a is not None and b is not None and pair.a is not None and pair.b is not None
    interval, paired = change_interval(pair.a, pair.b, metric, a.name, b.name)
    return replace(found, interval=interval, paired=paired)


def verdict(pair: EvaluationPair) -> str:
    """In one sentence, which run's best model has the better figure."""
    if pair.a is None or pair.b is None:
        there = [name for name, e in (("A", pair.a), ("B", pair.b)) if e is not None]
        return (
            f"Only run {there[0]} has an evaluation." if there else "Neither run has an evaluation."
        )
    if pair.a.primary != pair.b.primary:
        return "The runs compare their models by different metrics."
    metric = pair.b.primary
    found = _changed(pair, metric, pair.a.model(pair.a.best), pair.b.model(pair.b.best))
    names = f"({_named(pair.a.best, pair.b.best)})"
    if found.better == "":
        return f"The best models {names} cannot be compared: a figure is not defined."
    if found.better == "equal":
        return f"The best models {names} have the same figure."
    how = "their intervals do not touch" if found.apart else "their intervals overlap"
    if found.interval is not None and found.interval.low is not None:
        how = (
            f"B minus A is {found.change:+.3f}, 95\u00a0% interval {found.interval.low:+.3f} to "
            f"{found.interval.high:+.3f}{'' if found.paired else ', as of independent samples'}: "
            + ("more than chance" if found.beyond_chance else "it may be chance")
        )
    return f"Run {found.better} has the better figure of the best model {names}; {how}."


def _named(a: str, b: str) -> str:
    return f"{b} in both" if a == b else f"{a} in A, {b} in B"


def _find(evaluation: Evaluation | None, name: str) -> ModelEvaluation | None:
    models: Sequence[ModelEvaluation] = evaluation.models if evaluation else ()
    return next((model for model in models if model.name == name), None)


def _metric(model: ModelEvaluation | None, metric: str) -> Interval | None:
    return None if model is None else model.metrics.get(metric)


def _apart(a: Interval, b: Interval) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.high < b.low or b.high < a.low
