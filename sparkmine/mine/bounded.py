"""A search for itemsets that ends in time when there are too many.

It begins as any search does, since most find few. One that has found `SURE` itemsets is estimated
before it goes on, and given up when too many are expected; so nobody waits for memory to run out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.mine.eclat import Baskets, frequent
from sparkmine.mine.estimate import estimate, least_threshold

if TYPE_CHECKING:
    from sparkmine.mine.eclat import Array

# So many are found in less time than an estimate takes.
SURE = 50_000


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """How many itemsets are expected, and a threshold at which there are few enough; that is None
    when there are not too many, but more than the caller wants to wait for."""

    expected: float
    fits: int | None = None


def bounded(
    baskets: Baskets,
    items: int,
    threshold: int,
    max_length: int | None,
    max_itemsets: int,
    size: int,
    *,
    short: int | None = None,
) -> list[tuple[Array, Array]] | GivenUp:
    """What `eclat.frequent` yields, unless that is more than `max_itemsets`.

    Args:
        size: the number of baskets, those without pairs included.
        short: give up with `GivenUp` when more than that are expected.
    """

    def too_many(expected: float) -> GivenUp:
        fits = least_threshold(baskets, items, threshold, max_length, max_itemsets, size)
        return GivenUp(expected=expected, fits=fits)

    number, sure = 0, False
    blocks: list[tuple[Array, Array]] = []
    for itemsets, counts in frequent(baskets, items, threshold, max_length):
        number += len(counts)
        if number > SURE and not sure:
            expected = estimate(baskets, items, threshold, max_length)
            if expected.exceeds(max_itemsets):
                return too_many(expected.itemsets)
            if short is not None and expected.itemsets > short:
                return GivenUp(expected=expected.itemsets)
            sure = True
        if number > max_itemsets:
            return too_many(max(number, estimate(baskets, items, threshold, max_length).itemsets))
        blocks.append((itemsets, counts))
    return blocks
