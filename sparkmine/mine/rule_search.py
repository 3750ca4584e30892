"""All rules that frequent itemsets hold: every split of an itemset in two, measured exactly.

Agrawal and Srikant, "Fast Algorithms for Mining Association Rules" (VLDB 1994). The counts of both
sides are known, since every subset of a frequent itemset is frequent, so rules cost no pass over
the data. A split is a choice of places, made for all itemsets of a length at once in NumPy.

A rule A -> C is redundant when a rule A' -> C, with A' a part of A, not empty and not all of it,
has at least its confidence: the further items of A add nothing. These are the rules of no
improvement in Bayardo, Agrawal and Gunopulos, "Constraint-Based Rule Mining in Large, Dense
Databases" (ICDE 1999), who let A' be empty too; that is what a least lift above 1 says. All A' are
looked at, whether their rules pass the filters or not. (Bastide, Pasquier, Taouil, Stumme and
Lakhal, "Mining Minimal Non-Redundant Association Rules Using Frequent Closed Itemsets", CL 2000,
also call a rule redundant when one with a larger consequent is as good; here consequents are kept.)
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.errors import DataError
from sparkmine.mine.lattice import Itemsets, Lattice
from sparkmine.mine.measures import MEASURES, Ranges, column, measured, within
from sparkmine.stats.here import threads

if TYPE_CHECKING:
    from sparkmine.mine.eclat import Array

# Splits that may be looked at; each costs some ten nanoseconds.
MAX_SPLITS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side of a rule must hold: any of `has` (if there are some), and none of `lacks`."""

    has: Collection[str] = ()
    lacks: Collection[str] = ()

    def masks(self, items: list[str]) -> list[tuple[Array, bool]]:
        """Which items are named, and whether a side must hold any of them or none."""
        wishes = ((set(self.has), True), (set(self.lacks), False))
        return [
            (np.fromiter((item in names for item in items), bool, len(items)), wanted)
            for names, wanted in wishes
            if names
        ]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Which rules are wanted.

    Fields:
        ranges: for each measure named, its least and its largest value, None for any.
        max_consequent: most items in a consequent; None for any number.
        antecedent, consequent: what the sides must hold.
        prune: leave out redundant rules.
        max_rules: an error when there are more.
    """

    ranges: Ranges = field(default_factory=dict)
    max_consequent: int | None = 1
    antecedent: Side = field(default_factory=Side)
    consequent: Side = field(default_factory=Side)
    prune: bool = False
    max_rules: int = 5_000_000

    def rules(self, found: Itemsets) -> pa.Table:
        """[antecedent, consequent, the measures], the highest lift first, then the support.

        The sides are lists of codes with a dictionary of texts (`Itemsets.lists`).
        """
        self._check_splits(found)
        lattice = Lattice(found)
        sides = [side.masks(found.items) for side in (self.antecedent, self.consequent)]
        # Numbers of itemsets: of the whole rule, of its antecedent and of its consequent.
        rules: list[Array] = [np.zeros((3, 0), np.int32)]
        best: dict[tuple[int, ...], Array] = {}
        number = 0
        for length, (itemsets, both) in found.levels.items():
            shorter, best = best, {}
            for right in self._consequents(length):
                left = tuple(place for place in range(length) if place not in right)
                left_rows = lattice.rows(length, left)
                right_rows = lattice.rows(length, right)
                left_counts = lattice.counts[len(left)][left_rows]
                right_counts = lattice.counts[len(right)][right_rows]
                kept = np.ones(len(both), bool)
                if self.prune:
                    confidence = both / left_counts
                    general = _most_general(lattice, shorter, length, left, right)
                    if general is None:
                        best[right] = confidence
                    else:
                        kept = confidence > general
                        best[right] = np.maximum(confidence, general)
                kept = within(self.ranges, both, left_counts, right_counts, found.baskets, kept)
                for side, places in zip(sides, (left, right), strict=True):
                    for named, wanted in side:
                        kept = kept & (named[itemsets[:, places]].any(axis=1) == wanted)
                rows = np.flatnonzero(kept).astype(np.int32)
                number += len(rows)
                if number > self.max_rules:
                    raise DataError(
                        f"more than {self.max_rules:,} rules: raise min_confidence or min_support,"
                        " set filters, prune, max_length or max_consequent, or raise max_rules"
                    )
                starts = np.array([lattice.starts[k] for k in (length, len(left), len(right))])
                split = np.stack([rows, left_rows[rows], right_rows[rows]])
                rules.append(split + starts[:, None].astype(np.int32))
        return _table(found, np.concatenate(rules, axis=1))

    def _consequents(self, length: int) -> list[tuple[int, ...]]:
        longest = min(length - 1, self.max_consequent or length - 1)
        return [right for n in range(1, longest + 1) for right in combinations(range(length), n)]

    def _check_splits(self, found: Itemsets) -> None:
        splits = sum(
            len(counts) * comb(length, size)
            for length, (_, counts) in found.levels.items()
            for size in range(1, min(length - 1, self.max_consequent or length - 1) + 1)
        )
        if splits > MAX_SPLITS:
            raise DataError(
                f"{len(found):,} itemsets can be split in {splits:,} rules, and {MAX_SPLITS:,} are "
                "looked at: set max_consequent or max_length, or raise min_support"
            )


def _most_general(
    lattice: Lattice,
    shorter: dict[tuple[int, ...], Array],
    length: int,
    left: tuple[int, ...],
    right: tuple[int, ...],
) -> Array | None:
    """The highest confidence of the rules with the same consequent and a part of the antecedent.

    `shorter` has it, with that of the rule itself, for the rules whose antecedent has an item less.
    """
    most: Array | None = None
    for dropped in left if len(left) > 1 else ():
        moved = tuple(place - (place > dropped) for place in right)
        found = shorter[moved][lattice.without[length][dropped]]
        most = found if most is None else np.maximum(most, found)
    return most


def _table(found: Itemsets, rules: Array) -> pa.Table:
    """The rules, numbers of itemsets [3, n], as a table in order."""
    levels = (counts for _, counts in found.levels.values())
    counts = np.concatenate([np.zeros(0, np.int64), *levels])
    baskets = max(1, found.baskets)
    both, left, right = (counts.take(numbers) for numbers in rules)
    order = _highest_first(measured("lift", both, left, right, baskets), both)
    both, left, right = (counts.take(order) for counts in (both, left, right))

    def measure(name: str) -> pa.Array:
        return column(name, both, left, right, baskets)

    # NumPy and Arrow let other threads compute while they do.
    with ThreadPoolExecutor(threads()) as pool:
        sides = pool.map(found.lists, [numbers.take(order) for numbers in rules[1:]])
        values = pool.map(measure, MEASURES)
        done = [*sides, *values]
    return pa.table(done, names=["antecedent", "consequent", *MEASURES])


def _highest_first(first: Array, second: Array) -> Array:
    """The order by falling `first`, then falling `second` [n], whole numbers, then place.

    NumPy sorts one key several times faster than two, and whole numbers fastest: the places in
    the order of the first key, with the second, become whole numbers and are sorted once more.
    """
    order = np.argsort(-first)
    if not len(order):
        return order
    falling = first[order]
    runs = np.cumsum(falling[1:] != falling[:-1], dtype=np.int64)
    behind = second.max() - second[order]
    bits = [int(number).bit_length() for number in (behind.max(), len(order) - 1)]
    if int(runs[-1] if len(runs) else 0).bit_length() + sum(bits) > 63:
        return np.lexsort((-second, -first))
    keys = (np.append(0, runs) << sum(bits)) | (behind << bits[1]) | order
    keys.sort()
    return keys & ((1 << bits[1]) - 1)
