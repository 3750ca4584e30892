"""First centres by k-means|| (Bahmani, Moseley, Vattani, Kumar and Vassilvitskii, VLDB 2012).

Some rows are drawn by chance, and in each of a few rounds more, with a probability proportional to
the squared distance to those drawn before. One more pass counts the rows that are nearest to each
of them; then they are few enough for the driver, which clusters them by their counts: greedy
k-means++ (Arthur and Vassilvitskii 2007) and Lloyd's iterations, weighted, from several starts.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from sparkmine.mine.kmeans.space import Array, Space
from sparkmine.mine.kmeans.statistics import BlockStat, Draw, Nearest

# Rounds of drawing by distance, and rows drawn in each, as a multiple of k.
ROUNDS = 2
OVERSAMPLING = 2.5
_DRIVER_STARTS = 8
_DRIVER_ITERATIONS = 30

Asking = Generator[BlockStat, Any, Array]


def first_centres(space: Space, k: int, seed: int) -> Asking:
    """At most k centres [_, d]; fewer where there are fewer different rows."""
    mixed = np.random.SeedSequence([seed]).generate_state(ROUNDS + 2, np.uint64)
    wanted = max(int(OVERSAMPLING * k), k + 8)
    ids = np.zeros(0, np.uint64)
    candidates = np.zeros((0, len(space.shift)))
    for round_seed in mixed[: ROUNDS + 1]:
        drawn = yield Draw(space=space, count=wanted, centres=candidates, seed=int(round_seed))
        new = ~np.isin(drawn.ids, ids)
        if not new.any():
            break
        ids = np.concatenate([ids, drawn.ids[new]])
        candidates = np.concatenate([candidates, drawn.rows[new].astype(np.float64)])
    if len(candidates) <= k:
        return candidates
    near = yield Nearest(space=space, centres=candidates)
    return _clustered(candidates, near.counts, k, np.random.default_rng(int(mixed[-1])))


def _clustered(points: Array, weights: Array, k: int, generator: np.random.Generator) -> Array:
    """The best of several weighted clusterings of a few points."""
    found = [
        _lloyd(points, weights, _plus_plus(points, weights, k, generator))
        for _ in range(_DRIVER_STARTS)
    ]
    return min(found, key=lambda pair: pair[0])[1]


def _plus_plus(points: Array, weights: Array, k: int, generator: np.random.Generator) -> Array:
    """Each next centre is the best of a few points that are drawn by weight and distance."""
    tries = 2 + int(np.log(k))
    # A point without rows of its own, by rounding, may still be a centre.
    weights = np.maximum(weights, 1e-3)
    chosen = [int(generator.choice(len(points), p=weights / weights.sum()))]
    away = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    for _ in range(k - 1):
        chances = weights * away
        drawn = generator.choice(len(points), tries, p=chances / chances.sum())
        between = ((points[:, None] - points[drawn]) ** 2).sum(axis=2)
        nearer = np.minimum(away[:, None], between)
        best = int((weights @ nearer).argmin())
        chosen.append(int(drawn[best]))
        away = nearer[:, best]
    return points[chosen]


def _lloyd(points: Array, weights: Array, centres: Array) -> tuple[float, Array]:
    """The weighted inertia and the centres after some iterations; one without points stays."""
    inertia = np.inf
    squares = np.einsum("ij,ij->i", points, points)
    for _ in range(_DRIVER_ITERATIONS):
        scores = np.einsum("ij,ij->i", centres, centres) - 2 * points @ centres.T
        labels = scores.argmin(axis=1)
        before, inertia = inertia, float(weights @ (squares + scores.min(axis=1)))
        if inertia >= before * (1 - 1e-6):
            break
        chosen = np.zeros((len(centres), len(points)))
        chosen[labels, np.arange(len(points))] = weights
        totals = chosen.sum(axis=1)
        there = totals > 0
        centres = centres.copy()
        centres[there] = (chosen[there] @ points) / totals[there, None]
    return inertia, centres
