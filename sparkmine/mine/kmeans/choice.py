"""How many clusters: three views of each k, and a suggestion.

- the elbow of the inertia: the k farthest below the chord of the curve (Satopaa et al. 2011);
- the mean silhouette (Rousseeuw 1987), exact on a seeded sample of rows: 1 is far apart, 0 touches;
- stability: a sample is halved by chance, both halves are clustered, and the adjusted Rand index
  (Hubert and Arabie 1985) says how alike both models label the whole sample.

The suggestion is the k with the highest silhouette; without one (only k = 1, or clusters of single
rows) it is the elbow. All k are fitted in step over the same scans; a sample is drawn by one scan
more, from rows that are different, and everything else happens in the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.mine.kmeans.fitting import KMeans, fit_all
from sparkmine.mine.kmeans.model import KMeansModel
from sparkmine.mine.kmeans.rows import Held, opened
from sparkmine.mine.kmeans.space import Array
from sparkmine.mine.kmeans.statistics import PIECE, Draw

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

SILHOUETTE_ROWS = 5_000
STABILITY_ROWS = 20_000
_STEP = 512


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One k. `silhouette` is None for one cluster, `stability` for fewer than 2 k rows."""

    k: int
    inertia: float
    silhouette: float | None
    stability: float | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was tried, by rising k, the elbow of the inertia, and the suggested k with its model."""

    tried: tuple[Tried, ...]
    elbow: int
    suggested: int
    model: KMeansModel = field(repr=False, compare=False)

    def describe(self) -> dict[str, Any]:
        """As JSON values, without the model."""
        tried = [asdict(one) for one in self.tried]
        return {"tried": tried, "elbow": self.elbow, "suggested": self.suggested}


def choose_k(
    data: DataFrame | Snapshot,
    features: Sequence[str],
    ks: Sequence[int],
    *,
    max_iterations: int = 20,
    tolerance: float = 1e-4,
    starts: int = 1,
    seed: int = 0,
    splits: int = 3,
    spark: SparkSession | None = None,
) -> Choice:
    """Fit each of `ks` and say which suits the rows.

    Args:
        splits: Halvings whose agreement is averaged.

    Raises:
        ConfigError: fewer than two different ks, or another wrong setting.
        DataError: as `KMeans.fit`.
    """
    wanted = sorted(set(ks))
    if len(wanted) < 2:
        raise ConfigError(f"ks is {list(ks)}; give at least two to choose from")
    settings = [
        KMeans(k=k, max_iterations=max_iterations, tolerance=tolerance, starts=starts, seed=seed)
        for k in wanted
    ]
    with opened(data, features, spark) as rows:
        space, models = rows.space, fit_all(settings, rows)
        none = np.zeros((0, len(space.shift)))
        draw = Draw(space=space, count=STABILITY_ROWS, centres=none, seed=seed)
        sample = rows.run([draw])[0].rows
    points = space.original(sample.astype(np.float64))
    generator = np.random.default_rng(seed)
    agreed: list[list[float]] = [[] for _ in settings]
    for _ in range(splits):
        order = generator.permutation(len(sample))
        halves = [sample[order[half::2]] for half in (0, 1)]
        fits = [fit_all(settings, Held(space, _pieces(half))) for half in halves]
        pairs = zip(*fits, strict=True)
        for found, (one, other) in zip(agreed, pairs, strict=True):
            found.append(adjusted_rand(one.predict(points)[0], other.predict(points)[0]))
    some = points[:SILHOUETTE_ROWS]
    tried = tuple(
        Tried(
            k=setting.k,
            inertia=model.inertia,
            silhouette=silhouette(some, model.predict(some)[0]),
            stability=float(np.mean(found)) if found and len(sample) >= 2 * setting.k else None,
        )
        for setting, model, found in zip(settings, models, agreed, strict=True)
    )
    bend = elbow([one.k for one in tried], [one.inertia for one in tried])
    scored = [(one.silhouette, -one.k) for one in tried if one.silhouette is not None]
    suggested = -max(scored)[1] if scored else bend
    model = models[wanted.index(suggested)]
    return Choice(tried=tried, elbow=bend, suggested=suggested, model=model)


def elbow(ks: Sequence[int], inertia: Sequence[float]) -> int:
    """The k whose inertia is farthest below the line from the first to the last."""
    x, y = np.asarray(ks, float), np.asarray(inertia, float)
    height = y[0] - y[-1]
    if height <= 0:
        return int(ks[0])
    below = (y[0] - y) / height - (x - x[0]) / (x[-1] - x[0])
    return int(ks[int(below.argmax())])


def silhouette(points: Array, labels: Array) -> float | None:
    """Mean silhouette of points [n, d]; 0 for the only one of its cluster; None for one cluster."""
    codes = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(codes)
    if len(sizes) < 2 or len(sizes) == len(points):
        return None
    points = points - points.mean(axis=0)
    squares = np.einsum("ij,ij->i", points, points)
    member = np.zeros((len(points), len(sizes)))
    member[np.arange(len(points)), codes] = 1.0
    total = 0.0
    for begin in range(0, len(points), _STEP):
        part = slice(begin, begin + _STEP)
        away = squares[part, None] + squares - 2 * points[part] @ points.T
        mine = np.arange(len(away))
        away[mine, begin + mine] = 0.0
        sums = np.sqrt(np.maximum(away, 0.0)) @ member
        own = codes[part]
        inside = sums[mine, own] / np.maximum(sizes[own] - 1, 1)
        others = sums / sizes
        others[mine, own] = np.inf
        outside = others.min(axis=1)
        largest = np.maximum(inside, outside)
        usable = (sizes[own] > 1) & (largest > 0)
        total += float(((outside - inside)[usable] / largest[usable]).sum())
    return total / len(points)


def adjusted_rand(one: Array, other: Array) -> float:
    """How alike two labellings of the same rows are: 1 for equal ones, about 0 by chance."""
    left, right = (np.unique(labels, return_inverse=True)[1] for labels in (one, other))
    both = np.unique(left * (right.max(initial=0) + 1) + right, return_counts=True)[1]
    cells, rows, columns = (_pairs(c) for c in (both, np.bincount(left), np.bincount(right)))
    every = len(left) * (len(left) - 1) / 2
    expected = rows * columns / every if every else 0.0
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else float((cells - expected) / (largest - expected))


def _pairs(counts: Array) -> float:
    return float((counts * (counts - 1.0) / 2).sum())


def _pieces(rows: Array) -> list[Array]:
    return [rows[begin : begin + PIECE] for begin in range(0, len(rows), PIECE)]
