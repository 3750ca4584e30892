"""Association rules from frequent itemsets: every split of an itemset in two, measured exactly.

Agrawal and Srikant, "Fast Algorithms for Mining Association Rules" (VLDB 1994); conviction is
from Brin, Motwani, Ullman and Tsur (SIGMOD 1997). All counts are known from the itemsets, since
every subset of a frequent itemset is frequent, so rules cost no further pass over the data.
They are computed on the driver, a length and a choice of positions at a time in NumPy.

For antecedent A and consequent C, with supports as shares of all baskets:
confidence = s(AC) / s(A); lift = confidence / s(C); leverage = s(AC) - s(A) s(C);
conviction = (1 - s(C)) / (1 - confidence), which is infinite, and given as null, for rules
that always hold (confidence 1).
"""

from __future__ import annotations

import logging
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.lake.inputs import as_frame
from sparkmine.mine.itemsets import Itemsets, mine_itemsets

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.mine.eclat import Array

MEASURES = ("support", "confidence", "lift", "leverage", "conviction")
SCHEMA = "antecedent array<string>, consequent array<string>, " + ", ".join(
    f"{name} double" for name in MEASURES
)

logger = logging.getLogger(__name__)


def association_rules(
    df: DataFrame | Snapshot,
    basket: str = "basket_id",
    item: str = "category",
    min_support: float = 0.01,
    min_confidence: float = 0.3,
    *,
    min_lift: float = 0.0,
    max_length: int | None = None,
    max_consequent: int | None = 1,
    max_itemsets: int = 5_000_000,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Rules "baskets with the antecedent also hold the consequent", the highest lift first.

    Args:
        df: one row per basket and item (a DataFrame or a snapshot).
        basket: the column that says which basket the row belongs to, of any type.
        item: the column with the item; its text is what counts.
        min_support: least share of the baskets that hold the whole rule, in (0, 1].
        min_confidence: least share, in [0, 1], of the antecedent's baskets.
        min_lift: least lift; 1 keeps what occurs together more often than by chance.
        max_length: most items in a rule, both sides together; None for all.
        max_consequent: most items in a consequent; None for any number.
        max_itemsets: stop with an error when more itemsets are found.
        partitions: parts to mine separately; None chooses by size. The result is the same.
        spark: session in which a snapshot is read; by default the active one.

    Returns:
        DataFrame [antecedent: array<string>, consequent: array<string>, support, confidence,
        lift, leverage, conviction: double], items ascending. Conviction is null where the
        confidence is 1. Empty for empty input.

    Raises:
        ConfigError: a parameter or a column name is wrong.
        DataError: more than `max_itemsets` itemsets.
    """
    if not 0 <= min_confidence <= 1:
        raise ConfigError(f"min_confidence is {min_confidence}; it must be between 0 and 1")
    if max_consequent is not None and max_consequent < 1:
        raise ConfigError(f"max_consequent is {max_consequent}; it must be 1 or more")
    found = mine_itemsets(
        df,
        basket,
        item,
        min_support,
        max_length,
        max_itemsets=max_itemsets,
        partitions=partitions,
        spark=spark,
    )
    table = rules_of(
        found, min_confidence=min_confidence, min_lift=min_lift, max_consequent=max_consequent
    )
    logger.info("%d rules from %d itemsets", table.num_rows, len(found))
    return as_frame(df, spark).sparkSession.createDataFrame(table, SCHEMA)


def rules_of(
    found: Itemsets,
    *,
    min_confidence: float,
    min_lift: float = 0.0,
    max_consequent: int | None = 1,
) -> pa.Table:
    """The rules that `found` holds, as an Arrow table; see `association_rules`."""
    lookup = _Lookup(found)
    parts: list[pa.Table] = []
    for length, (itemsets, counts) in found.levels.items():
        longest = min(length - 1, max_consequent or length - 1)
        for size in range(1, longest + 1):
            for right in combinations(range(length), size):
                left = [place for place in range(length) if place not in right]
                antecedent, consequent = itemsets[:, left], itemsets[:, list(right)]
                rules = _measure(
                    counts, lookup.counts(antecedent), lookup.counts(consequent), found.baskets
                )
                kept = rules["confidence"] >= min_confidence
                kept &= rules["lift"] >= min_lift
                sides = {
                    "antecedent": found.texts(antecedent[kept]),
                    "consequent": found.texts(consequent[kept]),
                }
                measures = {name: _doubles(rules[name][kept]) for name in MEASURES}
                parts.append(pa.table({**sides, **measures}))
    if not parts:
        parts = [_nothing()]
    table = pa.concat_tables(parts).combine_chunks()
    order = np.lexsort((-table["support"].to_numpy(), -table["lift"].to_numpy()))
    return table.take(pa.array(order))


def _measure(both: Array, left: Array, right: Array, baskets: int) -> dict[str, Array]:
    """The measures of rules with the given counts of the rule and of its two sides."""
    support, share = both / baskets, right / baskets
    confidence = both / left
    certain = both == left
    return {
        "support": support,
        "confidence": confidence,
        "lift": confidence / share,
        "leverage": support - left / baskets * share,
        # NaN stands for null until `_doubles`; no measure is NaN otherwise.
        "conviction": np.where(certain, np.nan, (1 - share) / np.where(certain, 1, 1 - confidence)),
    }


def _doubles(values: Array) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _nothing() -> pa.Table:
    texts = pa.list_(pa.string())
    fields = [("antecedent", texts), ("consequent", texts), *((m, pa.float64()) for m in MEASURES)]
    return pa.schema(fields).empty_table()


class _Lookup:
    """Counts of itemsets by their indices, in as many binary searches as they have items.

    Rows of a level are in ascending order, so an itemset is found by its number: the place of
    its first k - 1 items in their level, times the number of items, plus its last item.
    """

    def __init__(self, found: Itemsets) -> None:
        self._width = max(1, len(found.items))
        self._counts = [counts for _, counts in found.levels.values()]
        self._numbers: list[Array] = []
        for itemsets, _ in found.levels.values():
            self._numbers.append(self._number(itemsets))

    def counts(self, itemsets: Array) -> Array:
        """Counts [n] of the itemsets [n, k], which must all be there."""
        places = np.searchsorted(self._numbers[itemsets.shape[1] - 1], self._number(itemsets))
        counts: Array = self._counts[itemsets.shape[1] - 1][places]
        return counts

    def _number(self, itemsets: Array) -> Array:
        numbers: Array = itemsets[:, 0].astype(np.int64)
        for place in range(1, itemsets.shape[1]):
            prefix = np.searchsorted(self._numbers[place - 1], numbers)
            numbers = prefix * self._width + itemsets[:, place]
        return numbers
