"""Frequent itemsets of any number of baskets, exact, by two-phase partitioned mining.

Savasere, Omiecinski and Navathe, "An Efficient Algorithm for Mining Association Rules in Large
Databases" (VLDB 1995): an itemset that is frequent over all baskets is frequent, in proportion,
in at least one part of them. Each Spark task mines its part (`eclat.py`); the union of what
they find holds every frequent itemset. Most candidates are found in every part and are then
counted already; a second pass counts those that some part may have missed.

Cost: one scan of the input and one shuffle by basket; all else reads the cached baskets. The
itemsets themselves are collected on the driver.

Rows with a null basket or a null item are ignored (and their number logged), so a basket that
has nothing but null items is not one of the baskets that supports refer to. An item that is
repeated in a basket counts once. Items are compared as strings.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine.inputs import as_frame, need_columns
from sparkmine.mine.partition import Counter, Encoder, Miner, bytes_per_task, unpack

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.mine.eclat import Array

logger = logging.getLogger(__name__)

# A part must be large enough for its own frequencies to resemble the whole's: with this many
# baskets expected at the support threshold, few itemsets pass by accident.
BASKETS_AT_THRESHOLD = 50
# More bytes of bit matrix than this in one task means more tasks.
TASK_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Itemsets:
    """Frequent itemsets on the driver.

    Fields:
        items: the frequent items in ascending order of their text.
        levels: length k -> (indices into `items` int32 [n, k], ascending in a row and by row;
            counts int64 [n]). Every subset of an itemset is there too.
        baskets: the number of baskets.
    """

    items: list[str]
    levels: dict[int, tuple[Array, Array]]
    baskets: int

    def __len__(self) -> int:
        return sum(len(counts) for _, counts in self.levels.values())

    def texts(self, indices: Array) -> pa.ListArray:
        """Rows of indices [n, k] as lists of item texts."""
        rows, length = indices.shape
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(length))
        texts = pa.array(self.items, pa.string()).take(pa.array(indices.ravel()))
        return pa.ListArray.from_arrays(offsets, texts)


def frequent_itemsets(
    df: DataFrame | Snapshot,
    basket: str = "basket_id",
    item: str = "category",
    min_support: float = 0.01,
    max_length: int | None = None,
    *,
    max_itemsets: int = 5_000_000,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Sets of items that occur together in at least `min_support` of the baskets.

    Args:
        df: one row per basket and item (a DataFrame or a snapshot).
        basket: the column that says which basket the row belongs to, of any type.
        item: the column with the item; its text is what counts.
        min_support: least share of the baskets, in (0, 1].
        max_length: longest itemset to look for; None for all.
        max_itemsets: stop with an error, before memory runs out, when a task finds more.
        partitions: parts to mine separately; None chooses by size. The result is the same.
        spark: session in which a snapshot is read; by default the active one.

    Returns:
        DataFrame [items: array<string>, support: double, count: long]: items ascending, the
        most frequent itemset first. Empty for empty input.

    Raises:
        ConfigError: min_support, max_length or a column name is wrong.
        DataError: more than `max_itemsets` itemsets.
    """
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
    return _to_frame(found, as_frame(df, spark).sparkSession)


def mine_itemsets(
    df: DataFrame | Snapshot,
    basket: str,
    item: str,
    min_support: float,
    max_length: int | None = None,
    *,
    max_itemsets: int = 5_000_000,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> Itemsets:
    """As `frequent_itemsets`, with the result as arrays on the driver."""
    if not 0 < min_support <= 1:
        raise ConfigError(f"min_support is {min_support}; it must be above 0 and at most 1")
    if max_length is not None and max_length < 1:
        raise ConfigError(f"max_length is {max_length}; it must be 1 or more")
    if partitions is not None and partitions < 1:
        raise ConfigError(f"partitions is {partitions}; it must be 1 or more")
    rows = as_frame(df, spark)
    need_columns(rows, [basket, item])
    grouped = _group(rows, basket, item).persist()
    try:
        total = grouped.count()
        _log_ignored(rows, basket, item)
        minimum = minimum_count(min_support, total)
        singles = _frequent_items(grouped, minimum)
        logger.info(
            "%d baskets, %d items in at least %d of them", total, len(singles), minimum
        )
        found = _Found(items=[name for name, _ in singles], total=total, minimum=minimum)
        longer: list[tuple[Array, Array]] = []
        if len(singles) > 1 and max_length != 1:
            parts = partitions or _parts(rows, singles, total, min_support)
            encoded = _encode(grouped, found.items, parts, exact=partitions is not None).persist()
            try:
                longer = _longer(encoded, found, max_length, max_itemsets)
            finally:
                encoded.unpersist()
    finally:
        grouped.unpersist()
    return _sorted(singles, longer, total)


def minimum_count(min_support: float, total: int) -> int:
    """The least count whose share of `total` is at least `min_support`, and at least 1."""
    count = max(1, int(min_support * total))
    while count > 1 and (count - 1) / total >= min_support:
        count -= 1
    while total and count / total < min_support:
        count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the first counts say: items ascending by frequency, baskets, least count."""

    items: list[str]
    total: int
    minimum: int


def _group(rows: DataFrame, basket: str, item: str) -> DataFrame:
    """One row per basket: [items: array<string>], no item twice."""
    from pyspark.sql import functions as F

    pairs = rows.select(F.col(basket).alias("basket"), F.col(item).cast("string").alias("item"))
    pairs = pairs.where("basket is not null and item is not null")
    return pairs.groupBy("basket").agg(F.collect_set("item").alias("items")).select("items")


def _frequent_items(grouped: DataFrame, minimum: int) -> list[tuple[str, int]]:
    """Items in at least `minimum` baskets, ascending by count, then by text."""
    from pyspark.sql import functions as F

    counts = grouped.select(F.explode("items").alias("item")).groupBy("item").count()
    found = [(row["item"], row["count"]) for row in counts.where(F.col("count") >= minimum).collect()]
    return sorted(found, key=lambda pair: (pair[1], pair[0]))
