"""Models beside baselines on the same test rows, and a sentence that says which is better.

Unless a model was chosen beforehand (on validation rows), the best one is chosen on the very rows
it is measured on, which flatters it; the verdict says so and takes it into account (`verdict.py`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.bags import Bag, Question, Rows, bag_of, interval, joined
from sparkmine.evaluate.class_names import labels_in
from sparkmine.evaluate.curves import (
    CalibrationBin,
    Confusion,
    Curve,
    calibration,
    confusion,
    gain_curve,
    precision_recall_curve,
    roc_curve,
    thinned,
)
from sparkmine.evaluate.intervals import Interval
from sparkmine.evaluate.metrics import Options, Sample
from sparkmine.evaluate.multiclass import Classified
from sparkmine.evaluate.plain import PlainData
from sparkmine.evaluate.replicates import Replicates
from sparkmine.evaluate.tasks import TASKS, task_of
from sparkmine.evaluate.verdict import (
    Outcome,
    best_of,
    confidence_of,
    lopsided_of,
    outcome_of,
    verdict_of,
)


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Some rows of a regression: what was predicted and what was."""

    predicted: tuple[float, ...]
    actual: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ClassRanking:
    """How well one of several classes is told from the rest; None where that is not defined."""

    name: str
    rows: int
    roc_auc: float | None
    pr_auc: float | None


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation:
    """One model or baseline on the test rows. What its task does not have is None or empty."""

    name: str
    baseline: bool
    members: tuple[str, ...]  # of an ensemble, else empty
    metrics: dict[str, Interval]
    # This model minus the best baseline, by the primary metric; None without a baseline.
    difference: Interval | None
    roc: Curve | None = None
    precision_recall: Curve | None = None
    gain: Curve | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    confusion: Confusion | None = None
    scatter: Scatter | None = None
    by_class: tuple[ClassRanking, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The best model on the rows with one value of a column, by the primary metric."""

    column: str
    value: str
    rows: int
    best: Interval
    baseline: Interval | None  # the best baseline of all rows
    difference: Interval | None


@dataclass(frozen=True, kw_only=True)
class Evaluation(PlainData):
    """All models on the same test rows: plain data, for the ledger and the report."""

    task: str
    rows: int
    groups: int
    group_name: str
    classes: tuple[str, ...]  # what the labels mean; empty for a regression
    positives: int | None  # rows of class 1; None unless there are two classes
    lopsided: str | None
    primary: str
    threshold: float
    samples: int
    seed: int
    models: tuple[ModelEvaluation, ...]
    best: str
    chosen_beforehand: bool
    best_baseline: str | None
    # Best minus best baseline, by the primary metric; its level is `confidence`.
    difference: Interval | None
    outcome: Outcome
    verdict: str
    segments: tuple[Segment, ...] = ()
    voting: tuple[str, ...] = ()  # ensembles whose probabilities are shares of votes
    confidence: float = 0.95
    replicates: Replicates | None = None  # None where the rows were resampled in several bags

    @property
    def positive_share(self) -> float:
        return (self.positives or 0) / self.rows

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that are defined for some model, the task's order."""
        return tuple(
            name
            for name in TASKS[self.task].metrics
            if any(model.metrics[name].value is not None for model in self.models)
        )

    def model(self, name: str) -> ModelEvaluation:
        """The evaluation of one model by its name."""
        for found in self.models:
            if found.name == name:
                return found
        raise DataError(f"no model {name} was evaluated; there are {_names(self.models)}")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How models are compared.

    Fields:
        baselines: names of models that are baselines.
        task: binary (probabilities of class 1), multiclass (classes, or probabilities of each) or
            regression (numbers).
        metric: the primary metric, by which "best" and "beats" are meant; the task's when None.
        chosen: the model chosen beforehand; by default the best on these rows.
        ensembles: per ensemble the names of its members.
        voting: ensembles whose probabilities are shares of votes.
        group_name: the plural word for the groups ("households").
        classes: what the labels are called, for tables and sentences: 0 and 1, or 0 to k - 1; where
            labels are texts, these themselves in the order to show.
    """

    baselines: Sequence[str] = ()
    task: str = "binary"
    metric: str | None = None
    samples: int = 500
    seed: int = 0
    threshold: float = 0.5
    chosen: str | None = None
    ensembles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    voting: Sequence[str] = ()
    group_name: str = "groups"
    classes: tuple[str, ...] | None = None

    def question(self, predictions: Collection[str], segments: Sequence[str] = ()) -> Question:
        """What is asked of the rows.

        Raises:
            DataError: unknown names, or no model.
            ConfigError: other than two names of two classes.
        """
        kind = task_of(self.task)
        if self.task == "binary" and self.classes is not None and len(self.classes) != 2:
            raise ConfigError(
                f"classes has {len(self.classes)} names; 0 and 1, of a binary task, have two"
            )
        (metric,) = kind.check_names([self.metric or kind.primary])
        _check_models(predictions, self.baselines, self.chosen, self.ensembles)
        return Question(
            task=self.task,
            metric=metric,
            samples=self.samples,
            seed=self.seed,
            options=Options(threshold=self.threshold),
            segments=tuple(segments),
        )

    def named(self, question: Question, rows: Rows) -> Question:
        """The question with the labels that the classes' names stand for, by the rows.

        Raises:
            ConfigError: names are missing.
        """
        if self.classes is None or self.task != "multiclass":
            return question
        options = replace(question.options, classes=labels_in(self.classes, rows))
        return replace(question, options=options)


def evaluate_models(
    labels: npt.ArrayLike,
    groups: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    baselines: Sequence[str],
    *,
    weights: npt.ArrayLike | None = None,
    segments: Mapping[str, npt.ArrayLike] | None = None,
    **how: Any,
) -> Evaluation:
    """Measure all models on the same rows and compare the best one with the best baseline.

    Args:
        labels: [n].
        groups: [n] ids; rows of one group are resampled together.
        predictions: per model its predictions (`Comparison.task`), in the order to report.
        baselines: names in `predictions` that are baselines.
        weights: [n] of the rows.
        segments: columns [n] by whose values the best model is measured, too.
        how: fields of `Comparison`.

    Raises:
        DataError: unknown names, unsuitable labels or predictions, no model.
        ConfigError: classes without a name.
    """
    comparison = Comparison(baselines=tuple(baselines), **how)
    rows = Rows(
        labels=np.asarray(labels),
        groups=np.asarray(groups),
        predictions={name: np.asarray(found) for name, found in predictions.items()},
        weights=None if weights is None else np.asarray(weights),
        segments={name: np.asarray(found) for name, found in (segments or {}).items()},
    )
    question = comparison.question(rows.predictions, tuple(rows.segments))
    question = comparison.named(question, rows)
    return conclude(comparison, question, [bag_of(question, rows)])


def conclude(comparison: Comparison, question: Question, bags: Sequence[Bag]) -> Evaluation:
    """The evaluation that the bags of all rows give."""
    parts = [bag.whole for bag in bags]
    names = tuple(question.kind.metrics)
    values, pictured = {}, {}
    for name in parts[0].samples:  # one at a time: a model's rows may be many
        sample = joined(question, parts, name)
        values[name] = sample.measure(names)
        pictured[name] = _pictured(question, comparison, sample, name, bags)
    metric, baselines = question.metric, comparison.baselines
    best_baseline = best_of(list(baselines), values, metric)
    tested = [name for name in values if name not in baselines]
    best = comparison.chosen or best_of(tested, values, metric)
    assert best is not None  # `Comparison.question` saw a model that is no baseline
    beforehand = comparison.chosen is not None
    confidence = confidence_of(len(tested), chosen_beforehand=beforehand)

    def against_baseline(name: str, confidence: float = 0.95) -> Interval | None:
        if best_baseline is None or name == best_baseline:
            return None
        difference = values[name][metric] - values[best_baseline][metric]
        return interval(metric, difference, parts, name, best_baseline, confidence)

    models = tuple(
        ModelEvaluation(
            name=name,
            baseline=name in baselines,
            members=tuple(comparison.ensembles.get(name, ())),
            metrics={m: interval(m, values[name][m], parts, name) for m in names},
            difference=against_baseline(name),
            **pictured[name],
        )
        for name in values
    )
    rows, groups = sum(part.rows for part in parts), sum(bag.groups for bag in bags)
    difference = against_baseline(best, confidence)
    outcome = outcome_of(metric, difference)
    table = models[0].confusion
    positives = sum(table.counts[1]) if table and question.task == "binary" else None
    return Evaluation(
        task=question.task,
        rows=rows,
        groups=groups,
        group_name=comparison.group_name,
        classes=table.classes if table else (),
        positives=positives,
        lopsided=lopsided_of(table) if table else None,
        primary=metric,
        threshold=comparison.threshold,
        samples=comparison.samples,
        seed=comparison.seed,
        models=models,
        best=best,
        chosen_beforehand=beforehand,
        best_baseline=best_baseline,
        difference=difference,
        outcome=outcome,
        verdict=verdict_of(
            outcome,
            metric,
            best,
            values[best][metric],
            best_baseline,
            values[best_baseline][metric] if best_baseline else math.nan,
            difference,
            f"{comparison.samples} resamples of {groups:,} {comparison.group_name}",
            models=len(tested),
            chosen_beforehand=beforehand,
        ),
        confidence=confidence,
        segments=_segments(question, bags, best, best_baseline),
        voting=tuple(comparison.voting),
        replicates=None if bags[0].rows is None else Replicates.of(bags[0].rows, parts[0].drawn),
    )


def _pictured(
    question: Question, comparison: Comparison, sample: Sample, name: str, bags: Sequence[Bag]
) -> dict[str, Any]:
    """The curves and tables that the task has."""
    if question.task == "binary":
        return {
            "roc": thinned(*roc_curve(sample)),
            "precision_recall": thinned(*precision_recall_curve(sample)),
            "gain": thinned(*gain_curve(sample)),
            "calibration": calibration(sample),
            "confusion": confusion(sample, comparison.classes),
        }
    if question.task == "multiclass":
        table = confusion(sample, comparison.classes)
        return {"confusion": table, "by_class": _by_class(sample, table)}
    points = [bag.points for bag in bags if bag.points is not None]
    return {
        "scatter": Scatter(
            predicted=tuple(float(v) for _, found in points for v in found[name]),
            actual=tuple(float(v) for labels, _ in points for v in labels),
        )
    }


def _by_class(sample: Sample, table: Confusion) -> tuple[ClassRanking, ...]:
    """Each class against the rest; empty where probabilities are not known."""
    found = sample.outcomes
    if not isinstance(found, Classified) or found.probabilities is None:
        return ()
    areas = [found.by_class(name, sample.weights).tolist() for name in ("roc_auc", "pr_auc")]
    return tuple(
        ClassRanking(
            name=name,
            rows=sum(row),
            roc_auc=None if math.isnan(roc) else roc,
            pr_auc=None if math.isnan(pr) else pr,
        )
        for name, row, roc, pr in zip(table.classes, table.counts, *areas, strict=True)
    )


def _segments(
    question: Question, bags: Sequence[Bag], best: str, baseline: str | None
) -> tuple[Segment, ...]:
    metric, found = question.metric, []
    for key in sorted({key for bag in bags for key in bag.segments}):
        parts = [bag.segments[key] for bag in bags if key in bag.segments]
        values = {
            name: joined(question, parts, name).measure((metric,))[metric]
            for name in (best, baseline)
            if name is not None
        }
        other = difference = None
        if baseline is not None:
            other = interval(metric, values[baseline], parts, baseline)
            difference = interval(metric, values[best] - values[baseline], parts, best, baseline)
        found.append(
            Segment(
                column=key[0],
                value=key[1],
                rows=sum(part.rows for part in parts),
                best=interval(metric, values[best], parts, best),
                baseline=other,
                difference=difference,
            )
        )
    order = {column: place for place, column in enumerate(question.segments)}
    return tuple(sorted(found, key=lambda s: (order[s.column], -s.rows, s.value)))


def _check_models(
    predictions: Collection[str],
    baselines: Sequence[str],
    chosen: str | None,
    members: Mapping[str, Sequence[str]],
) -> None:
    named = [*baselines, *members, *(name for of in members.values() for name in of)]
    if chosen is not None:
        named.append(chosen)
    unknown = sorted({name for name in named if name not in predictions})
    if unknown:
        raise DataError(
            f"no predictions of {', '.join(unknown)}; there are {', '.join(predictions)}"
        )
    if set(predictions) <= set(baselines):
        raise DataError("there is no model to compare with the baselines")


def _names(models: Sequence[ModelEvaluation]) -> str:
    return ", ".join(model.name for model in models)
