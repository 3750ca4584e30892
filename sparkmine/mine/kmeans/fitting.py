"""k-means: Lloyd's algorithm (1982) from centres by k-means|| (see `start`).

Cost: one scan for the means; for each start, all of them sharing their scans, four to find the
first centres, one an iteration and one at the end. What fits the driver is read once instead.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.mine.kmeans.model import KMeansModel
from sparkmine.mine.kmeans.rows import Rows, opened
from sparkmine.mine.kmeans.space import Array, Space
from sparkmine.mine.kmeans.start import first_centres
from sparkmine.mine.kmeans.statistics import BlockStat, Draw, Nearest, Sums

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KMeans:
    """k clusters that have a small sum of squared distances to their means.

    Distances are those of the columns as they are: scale them before where their units differ.
    A cluster that loses its rows takes a row that is farthest from its centre. Where there are
    fewer than k different rows, each of them is a cluster, and the model has fewer than k.

    Attributes:
        k: How many clusters.
        max_iterations: Of each start.
        tolerance: An iteration that moves the centres, in sum, by less than this share of the mean
            variance of the columns is the last one (of squared distances, as scikit-learn's).
        starts: The best of as many is kept, by its inertia.
        seed: Equal seeds give equal models on the same rows.
    """

    k: int
    max_iterations: int = 20
    tolerance: float = 1e-4
    starts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "max_iterations", "starts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.tolerance >= 0:
            raise ConfigError(f"tolerance is {self.tolerance}; it must be at least 0")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}; it must be at least 0")

    def fit(
        self,
        data: DataFrame | Snapshot,
        features: Sequence[str],
        spark: SparkSession | None = None,
    ) -> KMeansModel:
        """Find the clusters of the rows by some columns: numbers, or lists of numbers.

        Raises:
            ConfigError: no such columns.
            DataError: no rows; null, NaN or infinite values, named with their counts.
        """
        with opened(data, features, spark) as rows:
            return fit_all([self], rows)[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Found:
    """What one start led to, in the space of the fit."""

    centres: Array
    sizes: Array
    inertia: float
    iterations: int
    converged: bool


def fit_all(settings: Sequence[KMeans], rows: Rows) -> list[KMeansModel]:
    """Fit several settings to the same rows; their starts share the scans."""
    runs = [(number, s, start) for number, s in enumerate(settings) for start in range(s.starts)]
    found = _together([_one(rows.space, s, start) for _, s, start in runs], rows)
    models = []
    for number, setting in enumerate(settings):
        mine = [f for (n, _, _), f in zip(runs, found, strict=True) if n == number]
        models.append(_model(setting, rows.space, min(mine, key=lambda f: f.inertia)))
    return models


def _one(space: Space, settings: KMeans, start: int) -> Generator[BlockStat, Any, _Found]:
    """One start; asks for statistics and is sent their answers."""
    seed = settings.seed + 1_000_003 * start
    centres = yield from first_centres(space, settings.k, seed)
    limit = settings.tolerance * space.variance
    iterations, converged = 0, False
    while iterations < settings.max_iterations and not converged:
        iterations += 1
        state = yield Nearest(space=space, centres=centres)
        moved = _means(state, centres)
        empty = np.flatnonzero(state.counts == 0)
        if len(empty):
            drawn = yield Draw(space=space, count=len(empty), centres=centres, seed=None)
            moved[empty[: len(drawn.rows)]] = drawn.rows
        away = float(((moved - centres) ** 2).sum())
        centres = moved
        converged = away <= limit
    if away > 0:
        state = yield Nearest(space=space, centres=centres)
    there = np.flatnonzero(state.counts)
    order = there[np.argsort(-state.counts[there], kind="stable")]
    return _Found(
        centres=centres[order],
        sizes=state.counts[order],
        inertia=state.inertia(centres) / space.scale**2,
        iterations=iterations,
        converged=converged,
    )


def _means(state: Sums, centres: Array) -> Array:
    """The mean of each cluster's rows; a centre without any stays."""
    there = state.counts > 0
    moved = centres.copy()
    moved[there] = state.sums[there] / state.counts[there, None]
    return moved


def _together(asking: Sequence[Generator[BlockStat, Any, _Found]], rows: Rows) -> list[_Found]:
    """Advance all in step: what they ask for in a round is answered by one pass."""
    found: dict[int, _Found] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(asking)))
    while answers:
        asked: dict[int, BlockStat] = {}
        for number, answer in answers.items():
            try:
                asked[number] = asking[number].send(answer)
            except StopIteration as ended:
                found[number] = ended.value
        answers = dict(zip(asked, rows.run(list(asked.values())), strict=True)) if asked else {}
    return [found[number] for number in range(len(asking))]


def _model(settings: KMeans, space: Space, found: _Found) -> KMeansModel:
    if len(found.centres) < settings.k:
        _log.warning(
            "%d clusters instead of %d: no more rows of %s are different",
            *(len(found.centres), settings.k, ", ".join(space.names)),
        )
    return KMeansModel(
        features=space.names,
        widths=space.widths,
        elements=tuple(space.elements),
        inertia=found.inertia,
        iterations=found.iterations,
        converged=found.converged,
        seed=settings.seed,
        centres=space.original(found.centres),
        sizes=found.sizes,
        mean=space.mean,
        deviation=space.deviation,
    )
