"""The household-week query against hand-computed rows and against a direct, slow calculation.

The direct calculation shares nothing with the query: it takes the shops' local days from zoneinfo
and filters the lines of one household by date, once for every row and window.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

QUERY = Path(__file__).parents[2] / "conf" / "household_weeks.sql"
SHOP = ZoneInfo("America/New_York")

PRODUCTS = [
    (1, "GROCERY", "MILK"),
    (2, "PRODUCE", "APPLES"),
    (3, "FUEL", "COUPON/MISC ITEMS"),
    (4, "TOYS", "TOYS"),
    (5, None, None),
    (6, "MISCELLANEOUS", "COUPON/MISC ITEMS"),
]
SCHEMAS = {
    "transactions": "household_id bigint, store_id bigint, basket_id bigint, product_id bigint,"
    " quantity bigint, sales_value double, retail_disc double, coupon_disc double,"
    " coupon_match_disc double, week bigint, transaction_timestamp timestamp",
    "products": "product_id bigint, department string, product_category string",
    "demographics": "household_id bigint, age string, income string, home_ownership string,"
    " marital_status string, household_size string, household_comp string, kids_count string",
    "campaigns": "campaign_id bigint, household_id bigint",
    "campaign_descriptions": "campaign_id bigint, campaign_type string, start_date timestamp,"
    " end_date timestamp",
    "coupon_redemptions": "household_id bigint, coupon_upc bigint, campaign_id bigint,"
    " redemption_date timestamp",
}


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


def midnight(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def line(
    household: int,
    basket: int,
    local: str,
    *,
    product: int = 1,
    sales: float = 10.0,
    quantity: int = 1,
    store: int = 100,
    discounts: Sequence[float] = (0.0, 0.0, 0.0),
) -> tuple[Any, ...]:
    """One line of a basket; `local` is the time on the shop's clock."""
    moment = datetime.datetime.fromisoformat(local).replace(tzinfo=SHOP)
    return (household, store, basket, product, quantity, sales, *discounts, 1, moment)


def run(spark: SparkSession, tables: Mapping[str, list[tuple[Any, ...]]]) -> pd.DataFrame:
    """The query's rows, indexed by household and anchor. Missing tables are empty."""
    for name, schema in SCHEMAS.items():
        rows = tables.get(name, PRODUCTS if name == "products" else [])
        spark.createDataFrame(rows, schema).createOrReplaceTempView(name)
    try:
        result = pd.DataFrame(spark.sql(QUERY.read_text()).toPandas())
    finally:
        for name in SCHEMAS:
            spark.catalog.dropTempView(name)
    assert not result.duplicated(["household_id", "anchor_date"]).any()
    return result.set_index(["household_id", "anchor_date"]).sort_index()


@pytest.fixture(scope="module")
def by_hand(spark: SparkSession) -> pd.DataFrame:
    """Data from Sunday 2017-01-01 to Sunday 2017-04-23: the anchors are April 2, 9, 16 and 23."""
    transactions = [
        # 91 days before April 2: outside its window, which is (t - 91, t].
        line(1, 10, "2017-01-01T12:00:00", sales=64.0, store=200),
        # The window's first second (still winter time), and its last (summer time).
        line(
            1,
            11,
            "2017-01-02T00:00:00",
            sales=30.0,
            quantity=2,
            discounts=(1.0, 0.5, 0.25),
        ),
        line(1, 11, "2017-01-02T00:00:00", sales=10.0, product=2),
        line(1, 12, "2017-03-12T18:00:00", sales=20.0, product=3, quantity=9000),
        line(1, 13, "2017-04-02T23:59:59", sales=40.0, product=4, quantity=3, store=300),
        line(1, 14, "2017-04-02T08:00:00", sales=0.0, product=6, quantity=500),
        # One second later the label's window begins.
        line(1, 15, "2017-04-03T00:00:00", sales=5.0, product=5),
        line(1, 16, "2017-04-23T12:00:00", sales=1.0),
        # Nothing for 91 days, then on the 8th day after April 2.
        line(2, 20, "2017-01-01T12:00:00"),
        line(2, 21, "2017-04-10T00:00:00"),
        # On the 7th day after April 2, in its last second.
        line(3, 30, "2017-03-01T12:00:00"),
        line(3, 31, "2017-04-09T23:59:59"),
        # First seen on April 12.
        line(4, 40, "2017-04-12T12:00:00"),
    ]
    campaigns = [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (1, 3)]
    descriptions = [
        (1, "A", midnight("2017-03-01"), midnight("2017-04-02")),  # ends on the anchor
        (
            2,
            "B",
            midnight("2017-04-02"),
            midnight("2017-05-01"),
        ),  # starts on it, overlaps
        (
            3,
            "B",
            midnight("2017-04-03"),
            midnight("2017-05-01"),
        ),  # starts a day too late
        (
            4,
            "C",
            midnight("2016-12-01"),
            midnight("2017-01-02"),
        ),  # the window's first day
        (5, "C", midnight("2016-12-01"), midnight("2017-01-01")),  # a day too early
    ]
    redemptions = [
        (1, 7, 1, midnight("2017-01-02")),
        (1, 7, 1, midnight("2017-04-02")),
        (1, 7, 1, midnight("2017-04-03")),
    ]
    demographics = [(1, "35-44", "50-74K", None, "Married", "2", "2 Adults No Kids", "0")]
    return run(
        spark,
        {
            "transactions": transactions,
            "campaigns": campaigns,
            "campaign_descriptions": descriptions,
            "coupon_redemptions": redemptions,
            "demographics": demographics,
        },
    )


def test_anchors_are_the_sundays_with_a_full_window(by_hand: pd.DataFrame) -> None:
    anchors = ["2017-04-02", "2017-04-09", "2017-04-16", "2017-04-23"]
    for household, known in (
        (1, anchors),
        (2, anchors),
        (3, anchors),
        (4, anchors[2:]),
    ):
        assert list(by_hand.loc[household].index) == [day(text) for text in known]
    assert list(by_hand.loc[1, "week"]) == [14, 15, 16, 17]


def test_the_label_is_a_purchase_in_the_next_seven_days(by_hand: pd.DataFrame) -> None:
    labels = {
        household: [None if math.isnan(x) else int(x) for x in by_hand.loc[household, "shops"]]
        for household in (1, 2, 3, 4)
    }
    assert labels == {
        1: [1, 0, 1, None],  # April 3, none, April 23 (the 7th day after the 16th)
        2: [0, 1, 0, None],  # April 10 is the 8th day after the 2nd
        3: [1, 0, 0, None],  # April 9 is the 7th day after the 2nd
        4: [0, None],
    }


def test_the_windows_hold_what_was_bought_up_to_the_anchor(
    by_hand: pd.DataFrame,
) -> None:
    row = by_hand.loc[(1, day("2017-04-02"))]
    expected = {
        "days_since_purchase": 0,
        "shopped_last_week": 1,
        "visits_7": 1,
        "visits_28": 2,  # March 12 is 21 days back
        "visits_91": 3,  # January 2, March 12, April 2
        "baskets_7": 2,
        "baskets_28": 3,
        "baskets_91": 4,
        "weeks_shopped_28": 2,
        "weeks_shopped_91": 3,
        "sales_7": 40.0,
        "sales_28": 60.0,
        "sales_91": 100.0,
        "sales_trend": 0.6,
        "basket_mean_91": 25.0,
        "products_per_basket_91": 1.25,
        "gap_mean_91": 45.0,  # 69 and 21 days; the day from January 1 to 2 is outside
        "gap_std_91": math.sqrt(2) * 24.0,
        "items_28": 3,  # fuel and the coupon line do not count
        "items_91": 6,
        "retail_discount_28": 0.0,
        "retail_discount_91": 1.0,
        "coupon_discount_91": 0.5,
        "coupon_match_discount_91": 0.25,
        "redemptions_28": 1,
        "redemptions_91": 2,
        "campaigns_active": 2,
        "campaigns_91": 3,
        "stores_91": 2,  # 200 was visited on January 1 only
        "weekend_share": 0.75,  # all but Monday January 2
        "evening_share": 0.5,  # 18:00 and 23:59
        "share_grocery": 0.3,
        "share_produce": 0.1,
        "share_fuel": 0.2,
        "share_other": 0.4,
        "share_meat": 0.0,
        "month": 4,
        "week_of_year": 13,
        "days_to_holiday": 57,  # Memorial Day, May 29
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-12)

    later = by_hand.loc[(1, day("2017-04-09"))]
    assert later["sales_91"] == 65.0  # January 2 has left, April 3 has come
    assert later["share_other"] == pytest.approx(45.0 / 65.0)  # a product without department too
    assert (later["shopped_last_week"], later["days_since_purchase"]) == (1, 6)
    assert (later["campaigns_active"], later["stores_91"]) == (2, 2)


def test_nothing_bought_in_the_window_gives_nulls_for_shares_and_means(
    by_hand: pd.DataFrame,
) -> None:
    row = by_hand.loc[(2, day("2017-04-02"))]
    shares = [name for name in by_hand.columns if name.startswith("share_")]
    means = ["sales_trend", "basket_mean_91", "products_per_basket_91", "gap_mean_91"]
    means += ["gap_std_91", "weekend_share", "evening_share"]
    assert len(shares) == 18
    assert row[shares + means].isna().all()
    assert row["days_since_purchase"] == 91
    zero = [
        "visits_91",
        "sales_91",
        "items_91",
        "stores_91",
        "campaigns_91",
        "shopped_last_week",
    ]
    assert list(row[zero]) == [0] * len(zero)


def test_demographics_keep_their_gaps(by_hand: pd.DataFrame) -> None:
    known = by_hand.loc[(1, day("2017-04-02"))]
    assert (known["age"], known["income"], known["household_composition"]) == (
        "35-44",
        "50-74K",
        "2 Adults No Kids",
    )
    assert known["home_ownership"] is None and known["has_demographics"] == 1
    missing = by_hand.loc[(2, day("2017-04-02"))]
    assert missing["age"] is None and missing["has_demographics"] == 0


def test_a_last_week_that_is_not_over_is_left_out(spark: SparkSession) -> None:
    transactions = [
        line(1, 1, "2017-01-01T12:00:00"),
        line(1, 2, "2017-04-22T12:00:00"),
    ]
    result = run(spark, {"transactions": transactions}).loc[1]
    assert list(result.index) == [
        day("2017-04-02"),
        day("2017-04-09"),
        day("2017-04-16"),
    ]
    assert list(result["shops"].isna()) == [False, False, True]


def test_equals_a_direct_calculation_on_random_data(spark: SparkSession) -> None:
    random = np.random.default_rng(7)
    transactions = []
    for basket in range(260):
        household = int(random.choice([1, 2, 3, 4], p=[0.6, 0.25, 0.1, 0.05]))
        date = day("2017-01-01") + datetime.timedelta(days=int(random.integers(0, 140)))
        local = f"{date}T{random.integers(0, 24):02d}:{random.integers(0, 60):02d}:00"
        store = int(random.integers(100, 106))
        for product in random.choice([1, 2, 3, 4, 5, 6], size=random.integers(1, 4), replace=False):
            transactions.append(
                line(
                    household,
                    basket,
                    local,
                    product=int(product),
                    sales=float(random.integers(0, 2000)) / 100,
                    quantity=int(random.integers(1, 5)),
                    store=store,
                    discounts=[float(x) / 100 for x in random.integers(0, 99, 3)],
                )
            )
    transactions.append(line(9, 999, "2017-01-01T00:00:00"))  # the data's first second
    redemptions = [
        (
            1,
            1,
            1,
            midnight(str(day("2017-01-01") + datetime.timedelta(days=int(offset)))),
        )
        for offset in random.integers(0, 140, 30)
    ]
    result = run(spark, {"transactions": transactions, "coupon_redemptions": redemptions})
    assert len(result) > 25
    lines = pd.DataFrame(transactions, columns=[x.split()[0] for x in _columns("transactions")])
    lines["day"] = [moment.date() for moment in lines.transaction_timestamp]
    lines["hour"] = [moment.hour for moment in lines.transaction_timestamp]
    lines = lines.merge(pd.DataFrame(PRODUCTS, columns=["product_id", "department", "category"]))
    redeemed = pd.DataFrame(
        [(household, moment.date()) for household, _, _, moment in redemptions],
        columns=["household_id", "day"],
    )
    for (household, anchor), row in result.iterrows():
        expected = _direct(
            lines[lines.household_id == household],
            redeemed[redeemed.household_id == household],
            anchor,
            lines.day.max(),
        )
        actual = {name: math.nan if pd.isna(row[name]) else float(row[name]) for name in expected}
        assert actual == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), (
            household,
            anchor,
        )


def _columns(table: str) -> list[str]:
    return [column.strip() for column in SCHEMAS[table].split(",")]


def _direct(
    lines: pd.DataFrame,
    redeemed: pd.DataFrame,
    anchor: datetime.date,
    last_day: datetime.date,
) -> dict[str, float]:
    """One row's numbers from the lines of its household, each window filtered by date."""

    def within(frame: pd.DataFrame, days: int) -> pd.DataFrame:
        return frame[(frame.day > anchor - datetime.timedelta(days=days)) & (frame.day <= anchor)]

    def per(total: float, number: float) -> float:
        return float(total / number) if number else math.nan

    ahead = lines[(lines.day > anchor) & (lines.day <= anchor + datetime.timedelta(days=7))]
    complete = anchor + datetime.timedelta(days=7) <= last_day
    row: dict[str, float] = {
        "shops": float(len(ahead) > 0) if complete else math.nan,
        "days_since_purchase": float((anchor - lines.day[lines.day <= anchor].max()).days),
        "shopped_last_week": float(len(within(lines, 7)) > 0),
    }
    counted = lines[(lines.department != "FUEL") & (lines.category != "COUPON/MISC ITEMS")]
    for days in (7, 28, 91):
        window = within(lines, days)
        row[f"visits_{days}"] = window.day.nunique()
        row[f"baskets_{days}"] = window.basket_id.nunique()
        row[f"sales_{days}"] = window.sales_value.sum()
        if days > 7:
            weeks = {(anchor - date).days // 7 for date in window.day}
            row[f"weeks_shopped_{days}"] = len(weeks)
            row[f"items_{days}"] = within(counted, days).quantity.sum()
            row[f"redemptions_{days}"] = len(within(redeemed, days))
            row[f"retail_discount_{days}"] = window.retail_disc.sum()
            row[f"coupon_discount_{days}"] = window.coupon_disc.sum()
            row[f"coupon_match_discount_{days}"] = window.coupon_match_disc.sum()
    sales = window.sales_value.sum()
    baskets = window.drop_duplicates("basket_id")
    gaps = np.diff([date.toordinal() for date in sorted(set(window.day))])
    row |= {
        "sales_trend": per(within(lines, 28).sales_value.sum(), sales),
        "basket_mean_91": per(sales, len(baskets)),
        "products_per_basket_91": per(len(window), len(baskets)),
        "stores_91": float(window.store_id.nunique()),
        "weekend_share": per(sum(date.weekday() >= 5 for date in baskets.day), len(baskets)),
        "evening_share": per((baskets.hour >= 17).sum(), len(baskets)),
        "gap_mean_91": float(gaps.mean()) if len(gaps) else math.nan,
        "gap_std_91": float(gaps.std(ddof=1)) if len(gaps) > 1 else math.nan,
    }
    for column, department in (
        ("grocery", "GROCERY"),
        ("fuel", "FUEL"),
        ("produce", "PRODUCE"),
    ):
        row[f"share_{column}"] = per(
            window.sales_value[window.department == department].sum(), sales
        )
    other = window.sales_value[window.department.isna() | (window.department == "TOYS")].sum()
    row["share_other"] = per(other, sales)
    return row
