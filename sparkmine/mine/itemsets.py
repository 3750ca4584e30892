"""Frequent itemsets of any number of baskets, exact: all, closed, or maximal.

`mining.py` says how they are found, `lattice.py` what closed and maximal ones are, `baskets.py`
what becomes of nulls, repeats and types.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

from sparkmine.errors import ConfigError
from sparkmine.lake.inputs import session_of
from sparkmine.mine.lattice import Itemsets, closed, maximal
from sparkmine.mine.mining import mine_itemsets

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

Keep = Literal["all", "closed", "maximal"]

logger = logging.getLogger(__name__)


def frequent_itemsets(
    df: DataFrame | Snapshot,
    basket: str = "basket_id",
    item: str = "category",
    min_support: float = 0.01,
    max_length: int | None = None,
    *,
    keep: Keep = "all",
    max_itemsets: int | None = None,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Sets of items that occur together in at least `min_support` of the baskets.

    Also called `apriori`, after the first algorithm for it; this one is Eclat on bit matrices.

    Args:
        df: one row per basket and item (a DataFrame or a snapshot).
        basket: the column that says which basket the row belongs to, of any type.
        item: the column with the item; its text is what counts.
        min_support: least share of the baskets, in (0, 1].
        max_length: longest itemset to return; None for all.
        keep: "all"; "closed" for those of which no superset is in as many baskets; "maximal" for
            those of which no superset is frequent. Supersets longer than `max_length` count too.
        max_itemsets: most itemsets to find, of all kinds; None allows as many as the driver's
            memory holds. When an estimate says that there are more, nothing is mined.
        partitions: parts to mine separately; None chooses by size. The result is the same.
        spark: session in which a snapshot is read; by default the active one.

    Returns:
        DataFrame [items: array<string>, support: double, count: long]: items ascending, the
        most frequent itemset first. Empty for empty input.

    Raises:
        ConfigError: min_support, max_length or a column name is wrong.
        DataError: more than `max_itemsets` itemsets, or more than the memory holds. It names
            the estimate, what is allowed, and a support that fits.
    """
    found, _ = find_itemsets(
        df,
        basket,
        item,
        min_support,
        max_length,
        keep=keep,
        max_itemsets=max_itemsets,
        partitions=partitions,
        spark=spark,
    )
    return found.to_frame(session_of(df, spark))


def find_itemsets(
    df: DataFrame | Snapshot,
    basket: str,
    item: str,
    min_support: float,
    max_length: int | None = None,
    *,
    keep: Keep = "all",
    max_itemsets: int | None = None,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> tuple[Itemsets, int]:
    """As `frequent_itemsets`, as arrays on the driver, and how many were mined for it."""
    if keep not in get_args(Keep):
        raise ConfigError(f"keep is {keep!r}; it must be one of {', '.join(get_args(Keep))}")
    # Whether the longest are closed or maximal is known from those with one item more.
    further = 0 if keep == "all" else 1
    if max_length is not None and max_length < 1:
        raise ConfigError(f"max_length is {max_length}; it must be 1 or more")
    found = mine_itemsets(
        df,
        basket,
        item,
        min_support,
        None if max_length is None else max_length + further,
        max_itemsets=max_itemsets,
        partitions=partitions,
        spark=spark,
    )
    mined = len(found)
    if keep != "all":
        found = closed(found) if keep == "closed" else maximal(found)
        logger.info("%d of %d itemsets are %s", len(found), mined, keep)
    return (found if max_length is None else found.up_to(max_length)), mined
