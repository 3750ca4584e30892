"""Frequent itemsets on the driver, and how each itemset leads to its subsets.

All subsets of a frequent itemset are frequent, so what is known of the itemsets is known of their
parts: `Lattice` finds, for whole levels at once, the row of the subset that lacks one item. A row
of k items is the row of its first k - 1 items, its prefix, and a last item; the subset that lacks
an earlier item is the prefix without it, extended by the last item: one binary search a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.mine.eclat import Array

SCHEMA = "items array<string>, support double, count long"
PARTS_PER_CORE = 4


@dataclass(frozen=True, kw_only=True)
class Itemsets:
    """Itemsets as arrays.

    Fields:
        items: the frequent items in ascending order of their text.
        levels: length k -> (indices into `items` int32 [n, k], ascending in a row and by row;
            counts int64 [n]).
        baskets: the number of baskets.
    """

    items: list[str]
    levels: dict[int, tuple[Array, Array]]
    baskets: int

    def __len__(self) -> int:
        return sum(len(counts) for _, counts in self.levels.values())

    def up_to(self, length: int) -> Itemsets:
        """Those of at most `length` items."""
        levels = {k: level for k, level in self.levels.items() if k <= length}
        return Itemsets(items=self.items, levels=levels, baskets=self.baskets)

    def lists(self, numbers: Array) -> pa.ListArray:
        """Some itemsets, by number (length after length), as lists of codes into the items' texts.

        No text is built for an itemset: only whole numbers move.
        """
        texts = pa.array(self.items, pa.string())
        levels = [indices for indices, _ in self.levels.values()] or [np.zeros((0, 1), np.int32)]
        singles = levels[0][:, 0]
        if not len(numbers) or numbers.max() < len(singles):  # of one item each
            return _lists(singles[numbers], np.arange(len(numbers) + 1), texts)
        codes = np.concatenate([rows.ravel() for rows in levels])
        lengths = np.concatenate([np.full(len(rows), rows.shape[1]) for rows in levels])
        return _lists(codes, np.append(0, np.cumsum(lengths)), texts).take(pa.array(numbers))

    def to_frame(self, spark: SparkSession) -> DataFrame:
        """[items, support, count], the most frequent first, then the shorter, then by items."""
        counts = np.concatenate([np.zeros(0, np.int64), *(n for _, n in self.levels.values())])
        order = np.argsort(-counts, kind="stable")
        table = pa.table(
            {
                "items": plain_lists(self.lists(order)),
                "support": counts[order] / max(1, self.baskets),
                "count": counts[order],
            }
        )
        return frame(spark, table, SCHEMA)


def _lists(codes: Array, ends: Array, texts: pa.Array) -> pa.ListArray:
    named = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), texts)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), named)


def plain_lists(lists: pa.ListArray) -> pa.ListArray:
    """Lists of codes with a dictionary as lists of its texts, which Spark and Parquet take."""
    return pa.ListArray.from_arrays(lists.offsets, lists.values.dictionary_decode())


def frame(spark: SparkSession, table: pa.Table, schema: str) -> DataFrame:
    """The table as a DataFrame, in its order, in a few partitions for each core.

    Spark makes one of every 10,000 rows, and starting its task costs more than so few rows do.
    """
    parts = PARTS_PER_CORE * spark.sparkContext.defaultParallelism
    return spark.createDataFrame(table, schema).coalesce(parts)


class Lattice:
    """Subsets by row number, of itemsets that hold every subset of each of them."""

    def __init__(self, found: Itemsets) -> None:
        width = max(1, len(found.items))
        self.counts = {length: counts for length, (_, counts) in found.levels.items()}
        self._itemsets = {length: itemsets for length, (itemsets, _) in found.levels.items()}
        # The number of each length's first itemset, as `Itemsets.lists` counts them.
        sizes = np.cumsum([0, *(len(counts) for counts in self.counts.values())])
        self.starts = dict(zip(self.counts, sizes.tolist(), strict=False))
        # For each length k and place p < k: the rows, in level k - 1, of the itemsets without p.
        self.without: dict[int, list[Array]] = {1: []}
        numbers: dict[int, Array] = {}
        for length, (itemsets, _) in found.levels.items():
            last = itemsets[:, -1].astype(np.int64)
            if length == 1:
                numbers[1] = last
                continue
            # Itemsets of one prefix follow each other: the first of them is looked up.
            changes = np.zeros(len(itemsets) - 1, bool)
            for place in range(length - 1):
                changes |= itemsets[1:, place] != itemsets[:-1, place]
            heads = np.append(0, np.flatnonzero(changes) + 1)
            prefix = itemsets[heads, 0].astype(np.int64)
            for place in range(1, length - 1):
                keys = prefix * width + itemsets[heads, place]
                prefix = np.searchsorted(numbers[place + 1], keys)
            prefix = np.repeat(prefix, np.diff(heads, append=len(itemsets)))
            shorter = [
                np.searchsorted(numbers[length - 1], rows[prefix].astype(np.int64) * width + last)
                for rows in self.without[length - 1]
            ]
            if length == 2:
                shorter = [last]
            self.without[length] = [rows.astype(np.int32) for rows in (*shorter, prefix)]
            numbers[length] = prefix * width + last

    def rows(self, length: int, places: tuple[int, ...]) -> Array:
        """For each itemset of `length`, the row of the subset that has the given places."""
        if len(places) == 1:  # an item's index is its row
            return self._itemsets[length][:, places[0]]
        rows = np.arange(len(self.counts[length]), dtype=np.int32)
        for place in reversed(range(length)):
            if place not in places:
                rows = self.without[length][place][rows]
                length -= 1
        return rows


def closed(found: Itemsets) -> Itemsets:
    """Itemsets of which no superset is in as many baskets.

    Pasquier, Bastide, Taouil and Lakhal, "Discovering Frequent Closed Itemsets for Association
    Rules" (ICDT 1999): all supports can be derived from the closed itemsets.
    """
    return _without_supersets(found, equal=True)


def maximal(found: Itemsets) -> Itemsets:
    """Itemsets of which no superset is frequent: Bayardo, "Efficiently Mining Long Patterns from
    Databases" (SIGMOD 1998). They say what is frequent, not how frequent the subsets are."""
    return _without_supersets(found, equal=False)


def _without_supersets(found: Itemsets, *, equal: bool) -> Itemsets:
    """Drop what has a superset; with `equal`, only for supersets of the same count.

    One item more is enough to look at: between an itemset and a larger superset lie others, which
    are frequent, and as frequent as both if these are equally frequent.
    """
    lattice = Lattice(found)
    kept = {length: np.ones(len(counts), bool) for length, counts in lattice.counts.items()}
    for length, counts in lattice.counts.items():
        for rows in lattice.without[length]:
            if equal:
                rows = rows[lattice.counts[length - 1][rows] == counts]
            kept[length - 1][rows] = False
    return Itemsets(
        items=found.items,
        levels={
            length: (itemsets[kept[length]], counts[kept[length]])
            for length, (itemsets, counts) in found.levels.items()
        },
        baskets=found.baskets,
    )
