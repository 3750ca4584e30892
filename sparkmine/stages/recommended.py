"""What the report shows of a table of recommendations, counted by Spark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sparkmine.evaluate.report import BasketExample, Recommendations, RecommendedItem
from sparkmine.stages.base import Context

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Items and baskets that are shown.
_ITEMS, _EXAMPLES = 15, 6


def recommended(context: Context, data: dict[str, Any]) -> Recommendations:
    """Of the stage's table, and of the rules' lifts where their table is still there."""
    from pyspark.sql import functions as F

    figures, config = data["metrics"]["recommend"], data["config"]
    found = context.frame(data["table"])
    basket, item, _, *sides = found.columns
    rows = found.select(
        F.col(f"`{basket}`").alias("basket"),
        F.col(f"`{item}`").alias("item"),
        "score",
        *sides,
    )
    numbers = rows.groupBy("basket").count().groupBy("count").agg(F.count("*").alias("baskets"))
    counted = {row["count"]: row["baskets"] for row in numbers.collect()}
    rules = context.frame(config["rules"]) if config["rules"] in context.inputs else None
    counted[0] = max(0, figures["baskets"] - sum(counted.values()))
    return Recommendations(
        table=data["table"],
        score=config.get("score", "confidence"),
        item=config["item"],
        baskets=figures["baskets"],
        numbers=tuple(sorted(counted.items())),
        items=tuple(_items(rows, rules)),
        all_items=rows.select("item").distinct().count(),
        examples=tuple(_examples(rows)),
    )


def _items(rows: DataFrame, rules: DataFrame | None) -> list[RecommendedItem]:
    """The most recommended ones, each with its rules' mean score and lift."""
    from pyspark.sql import functions as F

    sides = ["antecedent", "consequent"]
    by_rule = rows.groupBy("item", *sides).agg(
        F.count("*").alias("baskets"), F.avg("score").alias("score")
    )
    if rules is None:
        by_rule = by_rule.withColumn("lift", F.lit(None).cast("double"))
    else:
        by_rule = by_rule.join(rules.select(*sides, "lift"), sides, "left")
    weight = F.sum("baskets")
    most = by_rule.groupBy("item").agg(
        weight.alias("baskets"),
        (F.sum(F.col("score") * F.col("baskets")) / weight).alias("score"),
        (F.sum(F.col("lift") * F.col("baskets")) / weight).alias("lift"),
        F.max_by("antecedent", F.struct("baskets", "antecedent")).alias("antecedent"),
    )
    return [
        RecommendedItem(
            item=row["item"],
            baskets=row["baskets"],
            score=_finite(row["score"]),
            lift=row["lift"],
            antecedent=tuple(row["antecedent"]),
        )
        for row in most.orderBy(F.col("baskets").desc(), "item").limit(_ITEMS).collect()
    ]


def _examples(rows: DataFrame) -> list[BasketExample]:
    """Some baskets, the same ones whatever the order of the rows."""
    from pyspark.sql import functions as F

    given = F.struct((-F.col("score")).alias("place"), "item", "score", "antecedent")
    baskets = rows.groupBy("basket").agg(F.array_sort(F.collect_list(given)).alias("given"))
    some = baskets.orderBy(F.xxhash64("basket"), F.col("basket").cast("string")).limit(_EXAMPLES)
    return [
        BasketExample(
            basket=str(row["basket"]),
            items=tuple(
                (one["item"], _finite(one["score"]), tuple(one["antecedent"]))
                for one in row["given"]
            ),
        )
        for row in some.collect()
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
