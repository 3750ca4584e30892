"""Frequent itemsets of any number of baskets, exact, by two-phase partitioned mining.

Savasere, Omiecinski and Navathe, "An Efficient Algorithm for Mining Association Rules in Large
Databases" (VLDB 1995): an itemset that is frequent over all baskets is frequent, in proportion,
in at least one part of them. Each Spark task mines its part (`eclat.py`); the union of what
they find holds every frequent itemset. Most candidates are found in every part and are then
counted already; a second pass counts those that some part may have missed.

Cost: one scan of the input and two shuffles (by basket and item, by basket); all else reads the
cached baskets. The itemsets themselves are collected on the driver.

Rows with a null basket or a null item are ignored (and their number logged), so a basket that
has nothing but null items is not one of the baskets that supports refer to. An item that is
repeated in a basket counts once. Items are compared as strings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, DataError
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.eclat import by_length
from sparkmine.mine.partition import (
    COUNTED,
    ENCODED,
    MINED,
    TOO_MANY,
    Counter,
    Encoder,
    Miner,
    bytes_per_task,
    unpack,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.mine.eclat import Array

SCHEMA = "items array<string>, support double, count long"

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
    with _cached(_group(rows, basket, item)) as grouped:
        total = _count_baskets(grouped)
        minimum = minimum_count(min_support, total)
        singles = _frequent_items(grouped, minimum)
        logger.info("%d baskets, %d items in %d or more", total, len(singles), minimum)
        longer: list[tuple[Array, Array]] = []
        if len(singles) > 1 and max_length != 1:
            counts = np.array([n for _, n in singles])
            parts = partitions or _parts(rows.sparkSession, counts, total, min_support)
            logger.info(
                "mining %d parts, about %d MiB each", parts, bytes_per_task(counts, parts) >> 20
            )
            encoder = Encoder(items=tuple(name for name, _ in singles))
            baskets = grouped.where("size(items) > 0").select("items")
            encoded = baskets.mapInArrow(encoder, ENCODED)
            with _cached(_split(encoded, parts, exact=partitions is not None)) as split:
                miner = Miner(
                    items=len(singles),
                    minimum=minimum,
                    total=total,
                    max_length=max_length,
                    max_itemsets=max_itemsets,
                )
                longer = _mine(split, miner)
    return _assemble(singles, longer, total)


def minimum_count(min_support: float, total: int) -> int:
    """The least count whose share of `total` is at least `min_support`, and at least 1."""
    count = max(1, int(min_support * total))
    while count > 1 and (count - 1) / total >= min_support:
        count -= 1
    while total and count / total < min_support:
        count += 1
    return count


def _group(rows: DataFrame, basket: str, item: str) -> DataFrame:
    """One row per basket: [items: array<string> without repeats, ignored: rows with a null]."""
    from pyspark.sql import functions as F

    known = F.col("basket").isNotNull()
    pairs = rows.select(F.col(basket).alias("basket"), F.col(item).cast("string").alias("item"))
    # Rows without a basket stay, without their item, as one more group: so they are counted.
    pairs = pairs.select("basket", F.when(known, F.col("item")).alias("item"))
    # Repeats go first: a hash aggregation, which is much faster than sets of many baskets.
    unique = pairs.groupBy("basket", "item").agg(F.count("*").alias("rows"))
    return unique.groupBy("basket").agg(
        F.collect_list("item").alias("items"),
        F.sum(F.when(F.col("item").isNull(), F.col("rows"))).alias("ignored"),
    )


def _count_baskets(grouped: DataFrame) -> int:
    """Baskets with an item. Logs the rows that are ignored for a null."""
    from pyspark.sql import functions as F

    row = grouped.agg(
        F.count_if(F.size("items") > 0).alias("baskets"), F.sum("ignored").alias("ignored")
    ).first()
    if row is None:
        return 0
    if row["ignored"]:
        logger.warning("%d rows with a null basket or item are ignored", row["ignored"])
    return int(row["baskets"])


def _frequent_items(grouped: DataFrame, minimum: int) -> list[tuple[str, int]]:
    """Items in at least `minimum` baskets, ascending by count, then by text."""
    from pyspark.sql import functions as F

    counts = grouped.select(F.explode("items").alias("item")).groupBy("item").count()
    found = counts.where(F.col("count") >= minimum).collect()
    return sorted(((row[0], row[1]) for row in found), key=lambda pair: (pair[1], pair[0]))


def _parts(spark: SparkSession, counts: Array, total: int, min_support: float) -> int:
    """As many parts as there are cores, if they are large enough, and as memory asks for."""
    by_size = int(total * min_support / BASKETS_AT_THRESHOLD)
    by_memory = -(-bytes_per_task(counts, 1) // TASK_BYTES)
    return max(1, by_memory, min(by_size, spark.sparkContext.defaultParallelism))


def _split(df: DataFrame, parts: int, *, exact: bool) -> DataFrame:
    """`df` in `parts` partitions; without a shuffle where it has more and nobody asked."""
    if not exact and parts <= df.rdd.getNumPartitions():
        return df.coalesce(parts)
    return df.repartition(parts)


@contextmanager
def _cached(df: DataFrame) -> Iterator[DataFrame]:
    """`df`, cached while the block runs."""
    df.persist()
    try:
        yield df
    finally:
        df.unpersist()


def _mine(encoded: DataFrame, miner: Miner) -> list[tuple[Array, Array]]:
    """Both passes: blocks of codes [n, k], k >= 2, and exact counts [n] of at least `minimum`."""
    from pyspark.sql import functions as F

    sums = encoded.mapInArrow(miner, MINED).groupBy("key")
    mined = sums.agg(F.sum("count").alias("count"), F.sum("slack").alias("slack")).toArrow()
    keys = mined.column("key").combine_chunks()
    counts = mined.column("count").to_numpy()
    slack = mined.column("slack").to_numpy()
    sizes = pc.binary_length(keys).to_numpy(zero_copy_only=False)
    itemset = sizes >= 4
    if (sizes == len(TOO_MANY)).any() or itemset.sum() > miner.max_itemsets:
        raise DataError(
            f"more than {miner.max_itemsets} itemsets are in {miner.minimum} or more of "
            f"{miner.total} baskets: raise min_support, set max_length, or raise max_itemsets"
        )
    # A part that did not find an itemset adds at most its slack: none missing, the count is exact.
    most = counts + int(slack[~itemset].sum()) - slack
    exact = itemset & (most == counts) & (counts >= miner.minimum)
    unsure = np.flatnonzero(itemset & (most > counts) & (most >= miner.minimum))
    blocks = [(keys.take(pa.array(np.flatnonzero(exact))), counts[exact])]
    logger.info("%d itemsets counted, %d candidates to count", exact.sum(), len(unsure))
    if len(unsure):
        candidates = keys.take(pa.array(unsure))
        counter = Counter(items=miner.items, keys=candidates)
        total = encoded.mapInArrow(counter, COUNTED).groupBy("candidate").agg(F.sum("count"))
        counted = total.toArrow()
        places, numbers = (column.to_numpy() for column in counted.columns)
        enough = numbers >= miner.minimum
        blocks.append((candidates.take(pa.array(places[enough])), numbers[enough]))
    return [(codes, numbers[places]) for part, numbers in blocks for places, codes in unpack(part)]


def _assemble(
    singles: list[tuple[str, int]], longer: list[tuple[Array, Array]], total: int
) -> Itemsets:
    """Codes by frequency become indices into the items in order of their text; rows sorted."""
    names = [name for name, _ in singles]
    order = sorted(range(len(names)), key=names.__getitem__)
    index = np.empty(len(names), dtype=np.int32)
    index[order] = np.arange(len(names), dtype=np.int32)
    blocks = list(longer)
    if singles:
        codes = np.arange(len(names), dtype=np.int32)[:, None]
        blocks.append((codes, np.array([count for _, count in singles], dtype=np.int64)))
    levels = {}
    for length, (codes, counts) in by_length(blocks).items():
        indices = np.sort(index[codes], axis=1)
        rows = np.lexsort(indices.T[::-1])
        levels[length] = (indices[rows], counts[rows])
    return Itemsets(items=[names[i] for i in order], levels=levels, baskets=total)


def _to_frame(found: Itemsets, spark: SparkSession) -> DataFrame:
    """[items, support, count], the most frequent first, then the shorter, then by items."""
    parts = [found.texts(indices) for indices, _ in found.levels.values()]
    counts = np.concatenate([np.zeros(0, np.int64), *(n for _, n in found.levels.values())])
    order = pa.array(np.argsort(-counts, kind="stable"))
    texts = pa.chunked_array(parts, pa.list_(pa.string())).combine_chunks()
    table = pa.table(
        {
            "items": texts.take(order),
            "support": pa.array(counts / max(1, found.baskets)).take(order),
            "count": pa.array(counts).take(order),
        }
    )
    return spark.createDataFrame(table, SCHEMA)
