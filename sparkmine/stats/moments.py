"""Count, mean, variance and extremes, in one pass, merged without cancellation.

Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances" (1979). Over finite values; nulls, NaN and infinities are counted apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import Stat

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
class Moments(Stat):
    """Moments of one numeric column."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> MomentsState:
        return MomentsState()

    def update(self, state: MomentsState, arrays: list[pa.Array]) -> MomentsState:
        return merge_moments(state, moments(arrays[0]))

    def merge(self, a: MomentsState, b: MomentsState) -> MomentsState:
        return merge_moments(a, b)


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


def finite_values(array: pa.Array) -> np.ndarray:
    """The finite values of a numeric array as float64."""
    numbers: np.ndarray = pc.cast(array.drop_null(), pa.float64(), safe=False).to_numpy(
        zero_copy_only=False
    )
    finite = np.isfinite(numbers)
    return numbers if finite.all() else numbers[finite]


def moments(array: pa.Array) -> MomentsState:
    """The moments of one array."""
    numbers = pc.cast(array.drop_null(), pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    nans, infinities = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    if nans or infinities:
        numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return MomentsState(nulls=array.null_count, nans=nans, infinities=infinities)
    mean = float(numbers.mean())
    return MomentsState(
        count=len(numbers),
        nulls=array.null_count,
        nans=nans,
        infinities=infinities,
        mean=mean,
        m2=float(np.square(numbers - mean).sum()),
        minimum=float(numbers.min()),
        maximum=float(numbers.max()),
    )


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
