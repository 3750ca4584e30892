"""How many itemsets a search would find, before it is made.

Knuth, "Estimating the Efficiency of Backtrack Programs" (Mathematics of Computation 1975): a
random path from the root of a search tree to a leaf, on which each node's number of children is
weighted by the inverse probability of having come there, gives an unbiased estimate of the number
of nodes. The tree of Eclat has one node for each frequent itemset. Paths start at items drawn by
the number of items that follow them in their baskets, and turn to a child by the number of its
younger siblings, which is what it can be extended by.

Cost: for each of some dozen items its bit matrix, and as many intersections as a path has siblings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparkmine.mine.eclat import Baskets, bit_matrix, ones

if TYPE_CHECKING:
    from sparkmine.mine.eclat import Array

PATHS = 64


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Itemsets of two items and more: the estimate, and its standard error."""

    itemsets: float
    error: float

    def exceeds(self, limit: int) -> bool:
        """True when there are, with some 95 % confidence, more than `limit`.

        Two standard errors, or, since a few long paths can carry the whole estimate, Markov's
        inequality: what is never negative exceeds twenty times its mean in 5 % of cases at most.
        """
        return self.itemsets - 2 * self.error > limit or self.itemsets > 20 * limit


def estimate(
    baskets: Baskets, items: int, threshold: int, max_length: int | None = None, paths: int = PATHS
) -> Estimate:
    """The itemsets that `eclat.frequent` would yield. The same arguments give the same answer."""
    following = baskets.ends[baskets.positions] - baskets.positions - 1
    sums = np.concatenate([[0], np.cumsum(following)])
    weights = np.diff(sums[baskets.starts])
    # An item that is too rare has no children.
    weights = np.where(np.diff(baskets.starts) >= threshold, weights, 0)
    if not weights.sum():
        return Estimate(itemsets=0.0, error=0.0)
    chances = weights / weights.sum()
    random = np.random.default_rng(0)
    heads, times = np.unique(random.choice(items, paths, p=chances), return_counts=True)
    sizes: list[float] = []
    for head, repeats in zip(heads, times, strict=True):
        codes, places, size = baskets.following(int(head))
        partners = np.flatnonzero(np.bincount(codes, minlength=items) >= threshold)
        if not len(partners):
            sizes += [0.0] * repeats
            continue
        bits = bit_matrix(codes, places, size, partners, items)
        for _ in range(repeats):
            found = _path(bits, threshold, max_length, random)
            sizes.append(found / chances[head])
    mean = float(np.mean(sizes))
    return Estimate(itemsets=mean, error=float(np.std(sizes, ddof=1) / np.sqrt(len(sizes))))


def _path(
    bits: Array, threshold: int, max_length: int | None, random: np.random.Generator
) -> float:
    """The itemsets below one item, whose partners' covers are `bits`, by one random path."""
    siblings = np.arange(len(bits))
    cover = np.full(bits.shape[1], ~np.uint64(0))
    found, weight, length = 0.0, 1.0, 2
    while len(siblings):
        found += weight * len(siblings)
        if max_length is not None and length >= max_length:
            break
        # The last child has no younger siblings, hence no children: it is never the way.
        chances = np.arange(len(siblings) - 1, -1, -1, dtype=np.float64)
        if not chances.sum():
            break
        chances /= chances.sum()
        turn = int(random.choice(len(siblings), p=chances))
        weight /= chances[turn]
        cover = cover & bits[siblings[turn]]
        younger = siblings[turn + 1 :]
        siblings = younger[ones(bits[younger] & cover) >= threshold]
        length += 1
    return found


def least_threshold(
    baskets: Baskets, items: int, threshold: int, max_length: int | None, limit: int, size: int
) -> int:
    """About the least threshold at which `limit` is not exceeded: doubled until it is so."""
    while threshold < size:
        threshold = min(2 * threshold, size)
        if estimate(baskets, items, threshold, max_length).itemsets <= limit / 2:
            break
    return threshold
