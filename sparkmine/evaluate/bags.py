"""What is learned from the rows of some groups, and how it is put together.

A bag is all rows of some of the groups, measured and resampled in one process. Few rows are one
bag, whose intervals are those of the plain bootstrap over groups. Many rows are several, one for a
task, each resampled to the size of the whole, and the interval is the mean of their intervals: the
bag of little bootstraps (Kleiner, Talwalkar, Sarkar and Jordan, "A scalable bootstrap for massive
data", Journal of the Royal Statistical Society B, 2014). Values are exact in either case: every bag
hands on its rows compacted (`Outcomes.compact`) and packed, and metrics are computed from all of
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkmine.evaluate.intervals import Interval, group_codes, replicate
from sparkmine.evaluate.metrics import Floats, Options, Outcomes, Sample, row_weights
from sparkmine.evaluate.packed import Packed, unpacked
from sparkmine.evaluate.replicates import digest
from sparkmine.evaluate.tasks import task_of

# Rows of a scatter of predicted against actual numbers.
POINTS = 1_500


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be found out about the rows.

    Fields:
        metric: by which segments are compared.
        segments: names of the columns by whose values the rows are measured, too.
    """

    task: str
    metric: str
    samples: int
    seed: int
    options: Options = field(default_factory=Options)
    segments: tuple[str, ...] = ()

    @property
    def kind(self) -> type[Outcomes]:
        return task_of(self.task)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Columns of n rows: labels, ids of groups, predictions by model, weights, segments by name."""

    labels: npt.NDArray[Any]
    groups: npt.NDArray[Any]
    predictions: Mapping[str, npt.NDArray[Any]]
    weights: npt.NDArray[Any] | None = None
    segments: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Measured rows: by model compacted, and the resampled values [samples] of its metrics.

    Fields:
        values: of the metrics on these rows; only where they are one bag's of several.
    """

    rows: int
    samples: Mapping[str, Sample | Packed]
    drawn: dict[str, dict[str, Floats]]
    values: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bag:
    """All that one bag's rows tell.

    Fields:
        segments: by column and value.
        points: some of the labels [p] and of each model's predictions [p], for a picture.
        rows: digest of groups and labels, where this is the only bag.
    """

    groups: int
    whole: Part
    segments: dict[tuple[str, str], Part]
    points: tuple[Floats, dict[str, Floats]] | None
    rows: str | None = None


def bag_of(question: Question, rows: Rows, number: int = 0, bags: int = 1) -> Bag:
    """Measure and resample rows.

    Args:
        number: Which of the `bags` it is; they hold about equally many groups.

    Raises:
        DataError: unsuitable labels, predictions, weights or groups.
    """
    kind, count = question.kind, len(rows.labels)
    models = {
        name: kind.of(rows.labels, found, question.options)
        for name, found in rows.predictions.items()
    }
    weights = row_weights(rows.weights, count)
    codes, groups = group_codes(rows.groups, count)
    seed = question.seed if bags == 1 else (question.seed, number)

    def part(models: dict[str, Outcomes], codes: Any, weights: Floats, names: Any) -> Part:
        samples = {name: model.compact(weights) for name, model in models.items()}
        values = {} if bags == 1 else {name: one.measure(names) for name, one in samples.items()}
        return Part(
            rows=len(codes),
            samples={
                name: sample if bags == 1 else Packed.of(sample) for name, sample in samples.items()
            },
            values=values,
            drawn=replicate(
                models,
                codes,
                groups,
                names,
                samples=question.samples,
                seed=seed,
                weights=weights,
                draws=groups * bags,
            ),
        )

    segments = {}
    options = replace(question.options, ranked=kind.needs_ranks([question.metric]))
    for column in question.segments:
        values = rows.segments[column].tolist()
        kinds = {value: place for place, value in enumerate(sorted(set(values), key=str))}
        places = np.array([kinds[value] for value in values])
        for value, place in kinds.items():
            here = places == place
            some = {
                name: kind.of(rows.labels[here], found[here], options)
                for name, found in rows.predictions.items()
            }
            segments[column, str(value)] = part(
                some, codes[here], weights[here], (question.metric,)
            )
    return Bag(
        groups=groups,
        whole=part(models, codes, weights, tuple(kind.metrics)),
        segments=segments,
        points=_points(question, rows, bags) if question.task == "regression" else None,
        rows=digest(rows.groups, rows.labels, rows.weights) if bags == 1 else None,
    )


def joined(question: Question, parts: Sequence[Part], name: str) -> Sample:
    """All rows of a model."""
    found = [part.samples[name] for part in parts]
    if isinstance(found[0], Sample):
        return found[0]  # the only one
    packed = [one for one in found if isinstance(one, Packed)]
    return unpacked(question.kind, question.options, packed)


def interval(
    metric: str,
    whole: float,
    parts: Sequence[Part],
    name: str,
    other: str | None = None,
    confidence: float = 0.95,
) -> Interval:
    """The interval of a model's metric, or of its difference to another model.

    Args:
        whole: The value over all rows.
    """
    if len(parts) == 1:
        drawn = parts[0].drawn[name][metric]
        if other is not None:
            drawn = drawn - parts[0].drawn[other][metric]
        return Interval.of(whole, drawn, confidence)
    lows, highs = [], []
    for part in parts:
        value, drawn = part.values[name][metric], part.drawn[name][metric]
        if other is not None:
            value = value - part.values[other][metric]
            drawn = drawn - part.drawn[other][metric]
        found = Interval.of(value, drawn, confidence)
        if found.low is None or found.high is None or found.value is None:
            return Interval.of(whole, np.full(1, np.nan), confidence)
        lows.append(found.low - value)
        highs.append(found.high - value)
    return Interval(
        value=whole, low=whole + float(np.mean(lows)), high=whole + float(np.mean(highs))
    )


def _points(question: Question, rows: Rows, bags: int) -> tuple[Floats, dict[str, Floats]]:
    most = -(-POINTS // bags)
    generator = np.random.default_rng(question.seed)
    count = len(rows.labels)
    taken = generator.permutation(count)[:most] if count > most else np.arange(count)
    labels = np.asarray(rows.labels, np.float64)[taken]
    return labels, {
        name: np.asarray(found, np.float64)[taken] for name, found in rows.predictions.items()
    }
