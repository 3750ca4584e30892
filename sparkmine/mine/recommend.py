"""Rules applied to baskets: what is likely to be added to each, and by which rule.

A rule applies to a basket that holds all of its antecedent; the items of its consequent that the
basket lacks are recommended. Of the rules that recommend an item to a basket one counts, the best:
the highest score, then the highest support, the shortest antecedent, then the first by the texts
of antecedent and consequent. Items of a basket come in the order of their rules, equal ones by
text; so the same input gives the same rows.

Cost: one shuffle, which puts baskets together. Up to `BROADCAST_RULES` rules are sent to all tasks
and matched in NumPy (`matching.py`). More are joined to the baskets by one item of the antecedent,
the one in the fewest antecedents, in Spark: two shuffles more.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

from sparkmine.errors import ConfigError
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.matching import Matcher
from sparkmine.mine.measures import MEASURES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

    from sparkmine.lake import Snapshot

How = Literal["auto", "broadcast", "join"]
BROADCAST_RULES = 200_000
_OUTPUT = ("score", "antecedent", "consequent")

logger = logging.getLogger(__name__)


def recommend(
    baskets: DataFrame | Snapshot,
    rules: DataFrame | Snapshot,
    basket: str = "basket_id",
    item: str = "category",
    top_k: int = 5,
    *,
    score: str = "confidence",
    how: How = "auto",
    spark: SparkSession | None = None,
) -> DataFrame:
    """The items that rules recommend for each basket, none that it already holds.

    Args:
        baskets: one row per basket and item (a DataFrame or a snapshot). Rows with a null basket
            or item are ignored.
        rules: what `association_rules` gave, or a table with its columns.
        basket: the column that says which basket the row belongs to, of any type.
        item: the column with the item; its text is what counts.
        top_k: most items for a basket.
        score: the measure of a rule that says how good it is: confidence, lift, zhang, ...
        how: "broadcast" or "join" the rules; "auto" broadcasts up to 200,000.
        spark: session in which snapshots are read; by default the active one.

    Returns:
        DataFrame [basket, item: string, score: double, antecedent, consequent: array<string>],
        the first two named as in `baskets`. Baskets to which no rule applies have no row. A null
        conviction counts as infinite.

    Raises:
        ConfigError: a parameter or a column name is wrong.
    """
    from pyspark.sql.types import ArrayType, StringType

    if top_k < 1:
        raise ConfigError(f"top_k is {top_k}; it must be 1 or more")
    if score not in MEASURES:
        raise ConfigError(f"score is {score!r}; it must be one of {', '.join(MEASURES)}")
    if how not in get_args(How):
        raise ConfigError(f"how is {how!r}; it must be one of {', '.join(get_args(How))}")
    if len({basket, item, *_OUTPUT}) < 2 + len(_OUTPUT):
        raise ConfigError(f"basket and item need names of their own, not {basket!r} and {item!r}")
    rows = as_frame(baskets, spark)
    need_columns(rows, [basket, item])
    known = as_frame(rules, spark)
    need_columns(known, ["antecedent", "consequent", "support", score])
    best_first = _best_first(known, score)
    grouped = _grouped(rows, basket, item)
    few: pa.Table | None = None
    if how != "join":
        ordered = best_first.orderBy(*_order())
        few = ordered.toArrow() if how == "broadcast" else _at_most(ordered, BROADCAST_RULES)
    if few is None:
        logger.info("joining the rules to the baskets")
        found = _join(grouped, best_first, top_k)
    else:
        logger.info("%d rules in every task", few.num_rows)
        matcher = Matcher.of(few.select(["antecedent", "consequent", "score"]), top_k)
        schema = grouped.select("basket").schema.add("item", "string").add("score", "double")
        for side in ("antecedent", "consequent"):
            schema = schema.add(side, ArrayType(StringType()))
        found = grouped.mapInArrow(matcher, schema)
    return found.select(*[found[old].alias(new) for old, new in _names(basket, item)])


def _names(basket: str, item: str) -> list[tuple[str, str]]:
    return [("basket", basket), ("item", item), *((name, name) for name in _OUTPUT)]


def _best_first(rules: DataFrame, score: str) -> DataFrame:
    """[antecedent, consequent, score, support], without repeats of an item in a side."""
    from pyspark.sql import functions as F

    infinite = F.lit(float("inf"))
    return rules.select(
        F.array_distinct("antecedent").alias("antecedent"),
        F.array_distinct("consequent").alias("consequent"),
        F.coalesce(F.col(score).cast("double"), infinite).alias("score"),
        F.col("support").cast("double").alias("support"),
    ).where(F.size("antecedent") > 0)


def _order() -> list[Column]:
    """Which rule is better."""
    from pyspark.sql import functions as F

    return [
        *(F.col("score").desc(), F.col("support").desc(), F.size("antecedent")),
        *(F.col("antecedent"), F.col("consequent")),
    ]


def _at_most(rules: DataFrame, number: int) -> pa.Table | None:
    """The rules, or None when there are more than `number`."""
    found = rules.limit(number + 1).toArrow()
    return found if found.num_rows <= number else None


def _grouped(rows: DataFrame, basket: str, item: str) -> DataFrame:
    """[basket, items: array<string>]: one row a basket."""
    from pyspark.sql import functions as F

    pairs = rows.select(F.col(basket).alias("basket"), F.col(item).cast("string").alias("item"))
    known = F.col("basket").isNotNull() & F.col("item").isNotNull()
    return pairs.where(known).groupBy("basket").agg(F.collect_set("item").alias("items"))


def _join(grouped: DataFrame, rules: DataFrame, top_k: int) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    held = rules.select("antecedent", F.explode("antecedent").alias("anchor"))
    uses = held.groupBy("anchor").count()
    rarest = F.min_by("anchor", F.struct("count", "anchor")).alias("anchor")
    anchors = held.distinct().join(uses, "anchor").groupBy("antecedent").agg(rarest)
    holding = grouped.select("basket", "items", F.explode("items").alias("anchor"))
    pairs = holding.join(rules.join(anchors, "antecedent"), "anchor")
    fulfilled = pairs.where(F.size(F.array_except("antecedent", "items")) == 0)
    offered = fulfilled.withColumn("item", F.explode(F.array_except("consequent", "items")))
    for_item = Window.partitionBy("basket", "item").orderBy(*_order())
    for_basket = Window.partitionBy("basket").orderBy(*_order(), "item")
    best = offered.withColumn("rank", F.row_number().over(for_item)).where("rank = 1")
    return best.withColumn("rank", F.row_number().over(for_basket)).where(F.col("rank") <= top_k)
