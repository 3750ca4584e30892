"""Models beside baselines on the same test rows, and a sentence that says which is better.

A model beats the best baseline when the 95 % interval of their paired difference lies on the
better side of zero (`intervals`). Unless a model was chosen beforehand (on validation rows), the
best one is chosen on the very rows it is measured on, which flatters it; the verdict says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.curves import (
    CalibrationBin,
    Confusion,
    Curve,
    calibration,
    confusion,
    precision_recall_curve,
    roc_curve,
    thinned,
)
from sparkmine.evaluate.intervals import Interval, group_codes, replicate
from sparkmine.evaluate.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    Floats,
    Scored,
    better,
    check_names,
    checked,
    from_sums,
    metric_label,
    percent,
    weighted_sums,
)
from sparkmine.evaluate.plain import PlainData

LOPSIDED_BELOW = 0.2

Outcome = Literal["beats", "undecided", "worse", "no comparison"]


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation:
    """One model or baseline on the test rows."""

    name: str
    baseline: bool
    members: tuple[str, ...]  # of an ensemble, else empty
    metrics: dict[str, Interval]
    # This model minus the best baseline, by the primary metric; None without a baseline.
    difference: Interval | None
    roc: Curve
    precision_recall: Curve
    calibration: tuple[CalibrationBin, ...]
    confusion: Confusion


@dataclass(frozen=True, kw_only=True)
class Evaluation(PlainData):
    """All models on the same test rows: plain data, for the ledger and the report."""

    rows: int
    groups: int
    group_name: str
    classes: tuple[str, str]  # what labels 0 and 1 mean
    positives: int
    lopsided: str | None
    primary: str
    threshold: float
    samples: int
    seed: int
    models: tuple[ModelEvaluation, ...]
    best: str
    chosen_beforehand: bool
    best_baseline: str | None
    difference: Interval | None  # best minus best baseline, by the primary metric
    outcome: Outcome
    verdict: str

    @property
    def positive_share(self) -> float:
        return self.positives / self.rows

    def model(self, name: str) -> ModelEvaluation:
        """The evaluation of one model by its name."""
        for found in self.models:
            if found.name == name:
                return found
        raise DataError(f"no model {name} was evaluated; there are {_names(self.models)}")


def evaluate_models(
    labels: npt.ArrayLike,
    groups: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    baselines: Sequence[str],
    *,
    metric: str = "roc_auc",
    samples: int = 500,
    seed: int = 0,
    threshold: float = 0.5,
    chosen: str | None = None,
    ensembles: Mapping[str, Sequence[str]] | None = None,
    group_name: str = "groups",
    classes: tuple[str, str] = ("0", "1"),
) -> Evaluation:
    """Measure all models on the same rows and compare the best one with the best baseline.

    Args:
        labels: [n] of 0 and 1.
        groups: [n] ids; rows of one group are resampled together.
        predictions: per model its probabilities [n] of class 1, in the order to report.
        baselines: names in `predictions` that are baselines.
        metric: the primary metric, by which "best" and "beats" are meant.
        chosen: the model chosen beforehand; by default the best on these rows.
        ensembles: per ensemble the names of its members.
        group_name: the plural word for the groups ("households").
        classes: what the labels 0 and 1 mean, for tables and sentences.

    Raises:
        DataError: unknown names, unsuitable labels or probabilities, no model.
    """
    check_names([metric])
    truth, _ = checked(labels, labels)
    members = {name: tuple(of) for name, of in (ensembles or {}).items()}
    _check_models(predictions, baselines, chosen, members)
    scored = {name: Scored.of(truth, p, threshold) for name, p in predictions.items()}
    _, group_count = group_codes(groups, len(truth))
    values = {name: _values(of) for name, of in scored.items()}
    drawn = replicate(
        truth,
        predictions,
        groups,
        tuple(METRICS),
        samples=samples,
        seed=seed,
        threshold=threshold,
    )
    best_baseline = _best(list(baselines), values, metric)
    best = chosen or _best([name for name in predictions if name not in baselines], values, metric)
    assert best is not None  # _check_models saw a model that is no baseline

    def against_baseline(name: str) -> Interval | None:
        if best_baseline is None or name == best_baseline:
            return None
        return Interval.of(
            values[name][metric] - values[best_baseline][metric],
            drawn[name][metric] - drawn[best_baseline][metric],
            0.95,
        )

    models = tuple(
        ModelEvaluation(
            name=name,
            baseline=name in baselines,
            members=members.get(name, ()),
            metrics={m: Interval.of(values[name][m], drawn[name][m], 0.95) for m in METRICS},
            difference=against_baseline(name),
            roc=thinned(*roc_curve(of)),
            precision_recall=thinned(*precision_recall_curve(of)),
            calibration=calibration(truth, of.probabilities),
            confusion=confusion(of),
        )
        for name, of in scored.items()
    )
    difference = against_baseline(best)
    outcome = _outcome(metric, difference)
    return Evaluation(
        rows=len(truth),
        groups=group_count,
        group_name=group_name,
        classes=classes,
        positives=int(truth.sum()),
        lopsided=_lopsided(truth, classes),
        primary=metric,
        threshold=threshold,
        samples=samples,
        seed=seed,
        models=models,
        best=best,
        chosen_beforehand=chosen is not None,
        best_baseline=best_baseline,
        difference=difference,
        outcome=outcome,
        verdict=_verdict(
            outcome,
            metric,
            best,
            values[best][metric],
            best_baseline,
            values[best_baseline][metric] if best_baseline else math.nan,
            difference,
            f"{samples} resamples of {group_count:,} {group_name}",
        ),
    )


def _check_models(
    predictions: Mapping[str, npt.ArrayLike],
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


def _values(scored: Scored) -> dict[str, float]:
    ones: Floats = np.ones_like(scored.labels)
    return from_sums(tuple(METRICS), weighted_sums(ones, scored.terms), scored, None)


def _best(names: Sequence[str], values: Mapping[str, dict[str, float]], metric: str) -> str | None:
    """The first of the best; names whose metric is not defined come last."""
    best: str | None = None
    for name in names:
        if best is None or better(metric, values[name][metric], values[best][metric]):
            best = name
    return best


def _outcome(metric: str, difference: Interval | None) -> Outcome:
    if difference is None or difference.low is None or difference.high is None:
        return "no comparison"
    low, high = difference.low, difference.high
    if metric in LOWER_IS_BETTER:
        low, high = -high, -low
    if low > 0:
        return "beats"
    return "worse" if high < 0 else "undecided"


def _verdict(
    outcome: Outcome,
    metric: str,
    best: str,
    value: float,
    baseline: str | None,
    baseline_value: float,
    difference: Interval | None,
    resamples: str,
) -> str:
    label = metric_label(metric)
    if baseline is None:
        return f"{best} is the best model ({label} {value:.3f}); no baseline was given to beat."
    if difference is None or difference.value is None or outcome == "no comparison":
        return (
            f"Whether {best} beats the best baseline, {baseline}, cannot be decided: "
            f"{label} is not defined on these rows."
        )
    says = {
        "beats": f"{best} beats the best baseline, {baseline}",
        "undecided": (
            f"{best} does not beat the best baseline, {baseline}, with 95\u00a0% confidence"
        ),
        "worse": f"{best} is worse than the best baseline, {baseline}",
    }[outcome]
    return (
        f"{says}: {label} {value:.3f} against {baseline_value:.3f}, "
        f"difference {difference.value:+.3f} "
        f"(95\u00a0% interval {difference.low:+.3f} to {difference.high:+.3f}; {resamples})."
    )


def _lopsided(truth: Floats, classes: tuple[str, str]) -> str | None:
    share = float(truth.mean())
    minority, minority_share = (classes[1], share) if share < 0.5 else (classes[0], 1 - share)
    if minority_share >= LOPSIDED_BELOW:
        return None
    majority = classes[0] if share < 0.5 else classes[1]
    return (
        f"The classes are lopsided: only {percent(minority_share)} of the rows are “{minority}”. "
        f"Always answering “{majority}” is right in {percent(1 - minority_share)} of the rows, so "
        "accuracy alone says little; judge by ROC-AUC, PR-AUC and the difference to the baseline."
    )


def _names(models: Sequence[ModelEvaluation]) -> str:
    return ", ".join(model.name for model in models)
