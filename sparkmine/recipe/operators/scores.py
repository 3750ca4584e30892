"""How much numbers tell of a label: each score asks its statistics and gives a number a column."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np

from sparkmine.errors import DataError
from sparkmine.stats import GroupedMoments, Sketch, Stat
from sparkmine.stats.contingency import Contingency
from sparkmine.stats.moments import MomentsState, merge_moments

Scoring = Generator[list[Stat], list[Any], dict[str, float]]
BUCKETS = 16


def by_variance(names: Sequence[str], label: str) -> Scoring:
    """The F statistic of each column."""
    answers = yield [GroupedMoments(name, label) for name in names]
    return {name: f_statistic(found) for name, found in zip(names, answers, strict=True)}


def by_sums(names: Sequence[str], label: str) -> Scoring:
    """The χ² statistic of each column of non-negative numbers."""
    answers = yield [GroupedMoments(name, label) for name in names]
    scores = {}
    for name, classes in zip(names, answers, strict=True):
        lowest = min((state.minimum for state in classes.values() if state.count), default=0.0)
        if lowest < 0.0:
            raise DataError(f"score chi2 wants non-negative numbers; {name!r} has {lowest:g}")
        scores[name] = chi2_statistic(classes)
    return scores


def by_information(names: Sequence[str], label: str) -> Scoring:
    """The mutual information of the label and the buckets of each column."""
    sketches = yield [Sketch(name) for name in names]
    edges = [tuple(float(edge) for edge in sketch.buckets(BUCKETS)) for sketch in sketches]
    answers = yield [
        Contingency(name, label, inner) for name, inner in zip(names, edges, strict=True)
    ]
    return {name: mutual_information(found) for name, found in zip(names, answers, strict=True)}


SCORES: dict[str, Callable[[Sequence[str], str], Scoring]] = {
    "f": by_variance,
    "chi2": by_sums,
    "mutual_information": by_information,
}


def f_statistic(classes: Mapping[str, MomentsState]) -> float:
    """Variance between classes over variance within; 0 where it is not defined."""
    states = [state for state in classes.values() if state.count]
    whole = MomentsState()
    for state in states:
        whole = merge_moments(whole, state)
    freedom = whole.count - len(states)
    if len(states) < 2 or freedom <= 0:
        return 0.0
    within = sum(state.m2 for state in states)
    between = sum(state.count * (state.mean - whole.mean) ** 2 for state in states)
    if within <= 1e-12 * max(whole.m2, 1e-300):
        return 0.0 if between <= 0 else 1e300  # separates the classes without error
    return (between / (len(states) - 1)) / (within / freedom)


def chi2_statistic(classes: Mapping[str, MomentsState]) -> float:
    """Observed sums by class against those that the classes' sizes let expect; 0 if undefined."""
    counts = np.array([state.count for state in classes.values()], float)
    sums = counts * np.array([state.mean for state in classes.values()])
    if not sums.sum() > 0.0:
        return 0.0
    used = counts > 0
    expected = sums.sum() * counts[used] / counts.sum()
    return float((np.square(sums[used] - expected) / expected).sum())


def mutual_information(table: Mapping[str, np.ndarray]) -> float:
    """In nats, of the classes and the buckets of a contingency table; never below 0."""
    joint = np.array([table[key] for key in sorted(table)], float)
    if not joint.sum():
        return 0.0
    joint /= joint.sum()
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    return max(float((joint[seen] * np.log(joint[seen] / independent[seen])).sum()), 0.0)
