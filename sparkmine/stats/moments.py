"""Count, mean, variance and extremes, in one pass, merged without cancellation.

Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances" (1979). Over finite values; nulls, NaN and infinities are counted apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import ColumnStat, Stat
from sparkmine.stats.derive import Affine, Change, Fill
from sparkmine.stats.numbers import together

MAX_CLASSES = 1000


@dataclass(frozen=True)
class MomentsState:
    """`m2` is the sum of squared deviations from the mean."""

    count: int = 0
    nulls: int = 0
    nans: int = 0
    infinities: int = 0
    mean: float = 0.0
    m2: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @property
    def variance(self) -> float:
        """Population variance; 0 for no rows."""
        return self.m2 / self.count if self.count else 0.0

    @property
    def deviation(self) -> float:
        """Population standard deviation; 0 for constant columns."""
        return math.sqrt(self.variance)


@dataclass(frozen=True)
class Moments(ColumnStat):
    """Moments of one numeric column."""

    def zero(self) -> MomentsState:
        return MomentsState()

    def update(self, state: MomentsState, arrays: list[pa.Array]) -> MomentsState:
        return merge_moments(state, moments(arrays[0]))

    @classmethod
    def update_all(
        cls, stats: Sequence[Self], states: Sequence[Any], arrays: Sequence[list[pa.Array]]
    ) -> list[MomentsState]:
        found = moments_of([columns[0] for columns in arrays])
        return [merge_moments(state, other) for state, other in zip(states, found, strict=True)]

    def merge(self, a: MomentsState, b: MomentsState) -> MomentsState:
        return merge_moments(a, b)

    def changed(self, state: MomentsState, change: Change) -> MomentsState:
        match change:
            case Fill(value):
                missing = state.nulls + state.nans
                known = replace(state, nulls=0, nans=0)
                filled = MomentsState(missing, mean=value, minimum=value, maximum=value)
                return merge_moments(known, filled) if missing else known
            case Affine() if state.count:
                ends = (change.of(state.minimum), change.of(state.maximum))
                return replace(
                    state,
                    mean=change.of(state.mean),
                    m2=state.m2 * change.scale * change.scale,
                    minimum=min(ends),
                    maximum=max(ends),
                )
        return state


@dataclass(frozen=True)
class GroupedMoments(Stat):
    """Moments of one numeric column for each class of a label; rows without a label are left out.

    The answer is a dict from class (as string) to `MomentsState`. At most 1000 classes.
    """

    column: str
    by: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.by)

    def zero(self) -> dict[str, MomentsState]:
        return {}

    def update(
        self, state: dict[str, MomentsState], arrays: list[pa.Array]
    ) -> dict[str, MomentsState]:
        labels = pc.cast(arrays[1], pa.string())
        found = {
            label: moments(arrays[0].filter(pc.fill_null(pc.equal(labels, label), False)))
            for label in pc.unique(labels).to_pylist()
            if label is not None
        }
        return self.merge(state, found)

    def merge(
        self, a: dict[str, MomentsState], b: dict[str, MomentsState]
    ) -> dict[str, MomentsState]:
        merged = {
            key: merge_moments(a.get(key, MomentsState()), b.get(key, MomentsState()))
            for key in sorted({*a, *b})
        }
        if len(merged) > MAX_CLASSES:
            raise ValueError(f"label {self.by!r} has more than {MAX_CLASSES} classes")
        return merged


def moments(array: pa.Array) -> MomentsState:
    """The moments of one array."""
    return moments_of([array])[0]


def moments_of(arrays: Sequence[pa.Array]) -> list[MomentsState]:
    """The moments of each array."""
    found = []
    for group in together(arrays):
        counts = np.diff(group.starts)
        some = np.flatnonzero(counts)  # reduceat knows no empty ranges
        begins, sizes = group.starts[some], counts[some]
        table = np.zeros((4, len(counts)))
        table[2], table[3] = math.inf, -math.inf
        if len(some):
            mean = np.add.reduceat(group.values, begins) / sizes
            deviations = group.values - np.repeat(mean, sizes)
            # reduceat adds one by one: what the mean lost by rounding is in the deviations.
            lost = np.add.reduceat(deviations, begins) / sizes
            table[0, some] = mean + lost
            squares = np.add.reduceat(deviations * deviations, begins)
            table[1, some] = np.maximum(squares - sizes * lost * lost, 0.0)
            table[2, some] = np.minimum.reduceat(group.values, begins)
            table[3, some] = np.maximum.reduceat(group.values, begins)
        for part, count, ends in zip(group.parts, counts.tolist(), table.T.tolist(), strict=True):
            found.append(MomentsState(count, part.nulls, part.nans, part.infinities, *ends))
    return found


def merge_moments(a: MomentsState, b: MomentsState) -> MomentsState:
    count = a.count + b.count
    delta = b.mean - a.mean
    share = b.count / count if count else 0.0
    return MomentsState(
        count=count,
        nulls=a.nulls + b.nulls,
        nans=a.nans + b.nans,
        infinities=a.infinities + b.infinities,
        mean=a.mean + delta * share if a.count else b.mean,
        m2=a.m2 + b.m2 + delta * delta * a.count * share,
        minimum=min(a.minimum, b.minimum),
        maximum=max(a.maximum, b.maximum),
    )
