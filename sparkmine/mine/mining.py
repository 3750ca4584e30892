"""How frequent itemsets are found: in the driver where baskets are few, else in two passes.

Few rows are brought to the driver as they are (`scanned_baskets.py`); else tasks encode them
(`baskets.py`). Encoded baskets that take little memory are mined where they are collected
(`eclat.py`): that costs one scan of the input and no shuffle. Where they are many, or the search
would be long:

Savasere, Omiecinski and Navathe, "An Efficient Algorithm for Mining Association Rules in Large
Databases" (VLDB 1995): an itemset that is frequent over all baskets is frequent, in proportion,
in at least one part of them. Each Spark task mines its part; the union of what they find holds
every frequent itemset. Most candidates are found in every part and are then counted already; a
second pass counts those that some part may have missed. That costs one scan of the input and one
shuffle of the encoded baskets. The itemsets themselves are collected on the driver.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, DataError
from sparkmine.lake.inputs import session_of
from sparkmine.mine.baskets import CodedBaskets, Pieces, encoded
from sparkmine.mine.bounded import GivenUp, bounded
from sparkmine.mine.eclat import Baskets, by_length
from sparkmine.mine.lattice import Itemsets
from sparkmine.mine.memory import BYTES_PER_ITEMSET, TASK_BYTES, Budget, bytes_per_task
from sparkmine.mine.partition import BILLION, COUNTED, MINED, Counter, Miner, unpack
from sparkmine.mine.scanned_baskets import brought, scanned

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot
    from sparkmine.mine.eclat import Array

logger = logging.getLogger(__name__)

# A part must be large enough for its own frequencies to resemble the whole's: with this many
# baskets expected at the support threshold, few itemsets pass by accident.
BASKETS_AT_THRESHOLD = 50
# Baskets of at most so many bytes are mined in the driver, unless more itemsets are expected.
HERE_BYTES = 1 << 27
HERE_ITEMSETS = 1_000_000
# Candidates of all parts together that the driver takes, for each itemset that it may hold: they
# are a sixth of the size, and not all of them are frequent.
CANDIDATES = 4

# Itemsets of two items and more: blocks of codes [n, k] and counts [n]. Codes are places in the
# items, [(text, count)], which ascend by count, then by text.
Found: TypeAlias = "list[tuple[Array, Array]]"
Singles: TypeAlias = list[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What is looked for."""

    min_support: float
    max_length: int | None
    max_itemsets: int
    allowed: str  # why not more

    def check(self, singles: Singles) -> None:
        if len(singles) > self.max_itemsets:
            raise self.too_many(len(singles), None)

    def too_many(self, expected: float, fits: float | None) -> DataError:
        about = ""
        if fits is not None and fits > self.min_support:
            about = f" ({fits:.2g} should do)"
        return DataError(
            f"about {expected:,.0f} itemsets or more at min_support {self.min_support:g}, and "
            f"{self.max_itemsets:,} are allowed ({self.allowed}): raise min_support{about}, set "
            "max_length, or raise max_itemsets"
        )


def mine_itemsets(
    df: DataFrame | Snapshot,
    basket: str,
    item: str,
    min_support: float,
    max_length: int | None = None,
    *,
    max_itemsets: int | None = None,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> Itemsets:
    """All frequent itemsets, as arrays on the driver; see `itemsets.frequent_itemsets`."""
    from pyspark.sql import DataFrame

    if not 0 < min_support <= 1:
        raise ConfigError(f"min_support is {min_support}; it must be above 0 and at most 1")
    if basket == item:
        raise ConfigError(f"basket and item are both {item!r}; each is a column of its own")
    numbers = {"max_length": max_length, "partitions": partitions, "max_itemsets": max_itemsets}
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it must be 1 or more")
    session = session_of(df, spark)
    most, allowed = _allowed(session, max_itemsets)
    wanted = _Wanted(
        min_support=min_support, max_length=max_length, max_itemsets=most, allowed=allowed
    )
    short = HERE_ITEMSETS if session.sparkContext.defaultParallelism > 1 else None
    found: Itemsets | None = None
    if partitions is None:
        baskets = (
            brought(df, basket, item) if isinstance(df, DataFrame) else scanned(df, basket, item)
        )
        found = _mine_here(baskets, wanted, short) if baskets is not None else None
        if found is not None:
            return found
    with encoded(df, basket, item, buckets=partitions, spark=spark) as pieces:
        if partitions is None and pieces.bytes <= HERE_BYTES:
            found = _mine_here(pieces.collected(), wanted, short)
        return found or _mine_apart(pieces, wanted, partitions)


def minimum_count(min_support: float, total: int) -> int:
    """The least count whose share of `total` is at least `min_support`, and at least 1."""
    count = max(1, int(min_support * total))
    while count > 1 and (count - 1) / total >= min_support:
        count -= 1
    while total and count / total < min_support:
        count += 1
    return count


def _allowed(spark: SparkSession, max_itemsets: int | None) -> tuple[int, str]:
    """Most itemsets, and why not more."""
    if max_itemsets is not None:
        return max_itemsets, "max_itemsets"
    budget = Budget.of(spark)
    reason = f"{BYTES_PER_ITEMSET} bytes each in {budget.bytes >> 20:,} MiB: {budget.reason}"
    return budget.allows(BYTES_PER_ITEMSET), reason


def _mine_here(baskets: CodedBaskets, wanted: _Wanted, short: int | None) -> Itemsets | None:
    """The itemsets, found in this process; None when more than `short` are expected."""
    total = len(baskets.lengths)
    minimum = minimum_count(wanted.min_support, total)
    often = np.flatnonzero(baskets.counts >= minimum)
    names = baskets.names.take(pa.array(often)).to_pylist()
    singles = _in_order(names, baskets.counts[often].tolist())
    wanted.check(singles)
    logger.info("%d baskets, %d items in %d or more", total, len(singles), minimum)
    if len(singles) < 2 or wanted.max_length == 1:
        return _assemble(singles, [], total)
    items = pa.array([name for name, _ in singles], pa.string())
    found = bounded(
        Baskets.of(*baskets.of(items), len(items)),
        len(items),
        minimum,
        wanted.max_length,
        wanted.max_itemsets,
        total,
        short=short,
    )
    if isinstance(found, GivenUp):
        if found.fits is not None:
            raise wanted.too_many(found.expected, found.fits / total)
        logger.info("about %d itemsets: tasks look for them", found.expected)
        return None
    return _assemble(singles, found, total)


def _mine_apart(pieces: Pieces, wanted: _Wanted, partitions: int | None) -> Itemsets:
    """The itemsets, found by tasks in parts of the baskets."""
    from pyspark.sql import functions as F

    blocks = pieces.blocks().persist()
    try:
        row = blocks.agg(F.sum(F.length("lengths") / 4).cast("long")).first()
        total = (row[0] if row is not None else None) or 0
        minimum = minimum_count(wanted.min_support, total)
        singles = _frequent_items(blocks, minimum)
        wanted.check(singles)
        logger.info("%d baskets, %d items in %d or more", total, len(singles), minimum)
        if len(singles) < 2 or wanted.max_length == 1:
            return _assemble(singles, [], total)
        miner = Miner(
            items=tuple(name for name, _ in singles),
            minimum=minimum,
            total=total,
            max_length=wanted.max_length,
            max_itemsets=wanted.max_itemsets,
        )
        counts = np.array([count for _, count in singles])
        parts = blocks if partitions else _parts(blocks, counts, total, wanted.min_support)
        return _assemble(singles, _both_passes(parts, miner, wanted), total)
    finally:
        blocks.unpersist()


def _in_order(names: list[str], counts: list[int]) -> Singles:
    return sorted(zip(names, counts, strict=True), key=lambda single: (single[1], single[0]))


def _frequent_items(blocks: DataFrame, minimum: int) -> Singles:
    """Items in at least `minimum` baskets."""
    from pyspark.sql import functions as F

    pairs = blocks.select(F.explode(F.arrays_zip("names", "counts")).alias("pair"))
    counts = pairs.groupBy("pair.names").agg(F.sum("pair.counts").alias("count"))
    found = counts.where(F.col("count") >= minimum).toArrow()
    return _in_order(*(column.to_pylist() for column in found.columns))


def _parts(blocks: DataFrame, counts: Array, total: int, min_support: float) -> DataFrame:
    """The blocks in as many partitions as are mined apart: one for each core where they are large
    enough, and as many as memory asks for."""
    by_size = int(total * min_support / BASKETS_AT_THRESHOLD)
    by_memory = -(-bytes_per_task(counts, 1) // TASK_BYTES)
    parts = max(1, by_memory, min(by_size, blocks.sparkSession.sparkContext.defaultParallelism))
    logger.info("mining %d parts, about %d MiB each", parts, bytes_per_task(counts, parts) >> 20)
    if parts <= blocks.rdd.getNumPartitions():
        return blocks.coalesce(parts)
    return blocks.repartition(parts)


def _both_passes(blocks: DataFrame, miner: Miner, wanted: _Wanted) -> Found:
    """Itemsets of two items and more, with exact counts of at least `minimum`."""
    from pyspark.sql import functions as F

    sums = blocks.mapInArrow(miner, MINED).groupBy("key")
    summed = sums.agg(F.sum("count").alias("count"), F.sum("slack").alias("slack"))
    most_rows = CANDIDATES * wanted.max_itemsets + 1
    mined = summed.limit(most_rows).toArrow()
    keys = mined.column("key").combine_chunks()
    counts = mined.column("count").to_numpy()
    slack = mined.column("slack").to_numpy()
    sizes = pc.binary_length(keys).to_numpy(zero_copy_only=False)
    itemset = sizes >= 4
    stopped = (sizes > 0) & ~itemset
    if stopped.any():  # keys that begin with `partition.TOO_MANY`
        raise wanted.too_many(counts[stopped].max(), slack[stopped].max() / BILLION)
    if len(keys) == most_rows:
        raise wanted.too_many(most_rows, None)
    # A part that did not find an itemset adds at most its slack: none missing, the count is exact.
    most = counts + int(slack[~itemset].sum()) - slack
    exact = itemset & (most == counts) & (counts >= miner.minimum)
    unsure = np.flatnonzero(itemset & (most > counts) & (most >= miner.minimum))
    found = [(keys.take(pa.array(np.flatnonzero(exact))), counts[exact])]
    logger.info("%d itemsets counted, %d candidates to count", exact.sum(), len(unsure))
    if len(unsure):
        candidates = keys.take(pa.array(unsure))
        counter = Counter(items=miner.items, keys=candidates)
        total = blocks.mapInArrow(counter, COUNTED).groupBy("candidate").agg(F.sum("count"))
        counted = total.toArrow()
        places, numbers = (column.to_numpy() for column in counted.columns)
        enough = numbers >= miner.minimum
        found.append((candidates.take(pa.array(places[enough])), numbers[enough]))
    longer = sum(len(numbers) for _, numbers in found)
    if longer > wanted.max_itemsets:
        raise wanted.too_many(longer, None)
    return [(codes, numbers[places]) for part, numbers in found for places, codes in unpack(part)]


def _assemble(singles: Singles, longer: Found, total: int) -> Itemsets:
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
