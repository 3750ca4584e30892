"""Many rows of few groups: each group compacted where its rows are, then resampled in one process.

Bags need groups enough for a resample of each to say something (`bags.py`); twenty shops are not.
But all that resampling groups takes of a group are its compacted rows (`Outcomes.compact`): one
row for numbers, a table of classes, a row for each label and distinct prediction where ranks count.
They are one scan of the statistics engine, and the resamples are those of the plain bootstrap over
groups.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import DataError, raised_by_workers
from sparkmine.evaluate.bags import POINTS, Bag, Part, Question
from sparkmine.evaluate.intervals import replicate
from sparkmine.evaluate.measured import Measured
from sparkmine.evaluate.metrics import Floats, Options, Sample
from sparkmine.expr import col
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Groups that a bag has on average; of 30, its intervals are some 2 % too narrow.
LEAST_GROUPS = 30

By = tuple[str, ...]
Samples = dict[tuple[Any, ...], Sample]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """About how many groups there are, and what compacting leaves of each model's rows.

    Fields:
        within: labels and predictions that differ within the groups, added up; by model.
        overall: that differ at all; by model.
    """

    groups: int
    within: tuple[int, ...]
    overall: tuple[int, ...]

    @property
    def of_groups(self) -> int:
        """Rows of the worst model once each group is compacted; a group is one where sums count."""
        return max(self.within, default=self.groups)

    def of_bags(self, bags: int) -> tuple[int, ...]:
        """Rows of each model once each bag is compacted."""
        return tuple(min(a, bags * b) for a, b in zip(self.within, self.overall, strict=True))


def sizes_of(
    df: DataFrame, label: str, group: str, models: Collection[str], question: Question
) -> Sizes:
    """A scan; no model has a size where only sums count."""
    from pyspark.sql import functions as F

    def distinct(*names: str) -> Any:
        return F.approx_count_distinct(F.xxhash64(*(F.col(f"`{name}`") for name in names)))

    ranked = question.kind.needs_ranks(tuple(question.kind.metrics))
    asked = tuple(models) if ranked else ()
    counts = [distinct(group, label, name) for name in asked]
    counts += [distinct(label, name) for name in asked]
    found = df.agg(distinct(group), *counts).first()
    groups, *rows = found if found is not None else [0] * (1 + len(counts))
    return Sizes(
        groups=int(groups),
        within=tuple(map(int, rows[: len(asked)])),
        overall=tuple(map(int, rows[len(asked) :])),
    )


def bag_by_groups(
    df: DataFrame,
    label: str,
    group: str,
    models: Mapping[str, str],
    weight: str | None,
    question: Question,
    rows: int,
    most_segments: int,
) -> Bag:
    """All rows as one bag: a scan, and a count for each segment column.

    Args:
        models: Columns of predictions by the models' names.
        rows: How many there are.

    Raises:
        DataError: as for `bag_of`; a segment column with too many values.
    """
    kind = question.kind
    sizes = {name: _sizes(df, name, most_segments) for name in question.segments}
    fewer = replace(question.options, ranked=kind.needs_ranks([question.metric]))
    sides: dict[By, Options] = {(group,): question.options}
    sides |= {(group, name): fewer for name in question.segments}
    stats = [
        Measured(label, column, weight, side, question.task, options)
        for side, options in sides.items()
        for column in models.values()
    ]
    requests = [Request(stat, tuple(col(name) for name in stat.columns)) for stat in stats]
    with raised_by_workers():
        states = StatEngine(df, df.sparkSession).run(requests)
    found = {
        side: dict(zip(models, states[len(models) * place :], strict=False))
        for place, side in enumerate(sides)
    }
    codes = _codes(group, next(iter(found[group,].values())))

    def part(samples: Mapping[str, Samples], count: int, names: Sequence[str]) -> Part:
        drawn, joined = {}, {}
        for name, by_group in samples.items():
            ordered = sorted(by_group.items(), key=lambda item: codes[item[0][0]])
            pieces = [sample for _, sample in ordered]
            rows = kind.stacked(pieces)
            lengths = [len(sample.outcomes) for sample in pieces]
            # The seed and the groups decide the resamples, so those of all models are the same.
            drawn[name] = replicate(
                {name: rows.outcomes},
                np.repeat([codes[key[0]] for key, _ in ordered], lengths),
                len(codes),
                names,
                samples=question.samples,
                seed=question.seed,
                weights=rows.weights,
            )[name]
            joined[name] = kind.join(pieces)
        return Part(rows=count, samples=joined, drawn=drawn)

    segments = {}
    for name, counts in sizes.items():
        for value, count in counts.items():
            some = {
                model: {key: sample for key, sample in state.items() if str(key[1]) == value}
                for model, state in found[group, name].items()
            }
            segments[name, value] = part(some, count, (question.metric,))
    return Bag(
        groups=len(codes),
        whole=part(found[group,], rows, tuple(kind.metrics)),
        segments=segments,
        points=_points(df, label, models, question, rows),
    )


def _codes(group: str, samples: Samples) -> dict[Any, int]:
    """The groups in the order in which the plain bootstrap numbers them."""
    ids = [key[0] for key in samples]
    if None in ids:
        raise DataError(f"column {group} is null in some rows; leave them out by a condition")
    return {value: place for place, value in enumerate(sorted(ids))}


def _sizes(df: DataFrame, column: str, most: int) -> dict[str, int]:
    """The values of a segment column as text, with their rows."""
    found = df.groupBy(f"`{column}`").count().limit(most + 1).toArrow()
    if len(found) > most:
        raise DataError(
            f"segment column {column} has more than {most} values; cut it into buckets first"
        )
    return {str(value): rows for value, rows in zip(*found.to_pydict().values(), strict=True)}


def _points(
    df: DataFrame, label: str, models: Mapping[str, str], question: Question, rows: int
) -> tuple[Floats, dict[str, Floats]] | None:
    if question.task != "regression":
        return None
    some = df.sample(min(1.0, 2 * POINTS / rows), question.seed).limit(POINTS).toArrow()

    def column(name: str) -> Floats:
        return np.array(some.column(name).to_pylist(), np.float64)

    return column(label), {name: column(at) for name, at in models.items()}
