"""Itemsets and rules against mlxtend and tables worked out by hand."""

from __future__ import annotations

import logging
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from mlxtend.frequent_patterns import association_rules as mlxtend_rules
from mlxtend.frequent_patterns import fpgrowth
from pyspark.sql import DataFrame, SparkSession

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import association_rules, frequent_itemsets
from sparkmine.mine.eclat import Baskets, by_length, count, frequent
from sparkmine.mine.itemsets import minimum_count

# Five baskets; a repeated item, a null item and a null basket must not matter.
ROWS = [
    *[(1, "bread"), (1, "milk"), (1, "milk")],
    *[(2, "bread"), (2, "beer"), (2, "nappies")],
    *[(3, "milk"), (3, "beer"), (3, "nappies"), (3, None)],
    *[(4, "bread"), (4, "milk"), (4, "beer"), (4, "nappies")],
    *[(5, "bread"), (5, "milk")],
    *[(None, "beer"), (6, None)],
]


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, "basket_id int, category string")


def random_baskets(baskets: int, items: int) -> pd.DataFrame:
    """Membership [baskets, items] with correlated items of unequal frequency."""
    random = np.random.default_rng(7)
    likely = 0.5 / (1 + np.arange(items) / 3)
    table = random.random((baskets, items)) < likely * random.choice([0.5, 1.6], (baskets, 1))
    table[~table.any(axis=1), 0] = True  # a basket of nothing has no row in the long form
    return pd.DataFrame(table, columns=[f"item {n}" for n in range(items)])


def pairs(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    baskets, items = np.nonzero(table.to_numpy())
    names = table.columns.to_numpy()[items]
    return spark.createDataFrame(pd.DataFrame({"basket": baskets, "item": names}))


def as_dict(df: DataFrame) -> dict[frozenset[str], int]:
    rows = df.collect()
    found = {frozenset(row["items"]): row["count"] for row in rows}
    assert len(found) == len(rows)
    assert all(row["items"] == sorted(row["items"]) for row in rows)
    return found


def test_itemsets_by_hand(shop: DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sparkmine.mine.itemsets"):
        found = frequent_itemsets(shop, "basket_id", "category", 0.6).collect()
    expected = {
        ("bread",): 4,
        ("milk",): 4,
        ("beer",): 3,
        ("nappies",): 3,
        ("bread", "milk"): 3,
        ("beer", "nappies"): 3,
    }
    assert {tuple(row["items"]): row["count"] for row in found} == expected
    assert {row["support"] for row in found} == {4 / 5, 3 / 5}
    assert [row["count"] for row in found] == [4, 4, 3, 3, 3, 3]
    assert "3 rows with a null basket or item are ignored" in caplog.text


def test_rules_by_hand(shop: DataFrame) -> None:
    rules = association_rules(shop, "basket_id", "category", 0.6, 0.75)
    assert [name for name, _ in rules.dtypes] == [
        *("antecedent", "consequent", "support", "confidence", "lift", "leverage", "conviction")
    ]
    found = {(row[0][0], row[1][0]): tuple(row[2:]) for row in rules.collect()}
    assert set(found) == {
        *{("beer", "nappies"), ("nappies", "beer")},
        *{("bread", "milk"), ("milk", "bread")},
    }
    # s(beer) = s(nappies) = s(both) = 3/5: it always holds, so conviction is null.
    assert found["beer", "nappies"][:4] == pytest.approx((0.6, 1.0, 5 / 3, 0.6 - 0.36))
    assert found["beer", "nappies"][4] is None
    # s(bread) = s(milk) = 4/5, s(both) = 3/5.
    assert found["bread", "milk"] == pytest.approx((0.6, 0.75, 0.9375, -0.04, 0.8))


@pytest.mark.parametrize("partitions", [1, 2, 3, 7])
def test_itemsets_equal_mlxtend(spark: SparkSession, partitions: int) -> None:
    table = random_baskets(600, 14)
    expected = fpgrowth(table, min_support=0.03, use_colnames=True)
    found = frequent_itemsets(pairs(spark, table), "basket", "item", 0.03, partitions=partitions)
    assert as_dict(found) == {
        frozenset(items): round(support * len(table))
        for items, support in zip(expected["itemsets"], expected["support"], strict=True)
    }


@pytest.mark.parametrize("max_consequent", [1, None])
def test_rules_equal_mlxtend(spark: SparkSession, max_consequent: int | None) -> None:
    table = random_baskets(400, 12)
    itemsets = fpgrowth(table, min_support=0.05, use_colnames=True)
    expected = mlxtend_rules(itemsets, metric="confidence", min_threshold=0.35)
    if max_consequent is not None:
        expected = expected[expected["consequents"].map(len) <= max_consequent]
    found = association_rules(
        pairs(spark, table),
        *("basket", "item", 0.05, 0.35),
        max_consequent=max_consequent,
        partitions=2,
    ).toPandas()
    names = ["support", "confidence", "lift", "leverage", "conviction"]
    measures = {
        (frozenset(row["antecedent"]), frozenset(row["consequent"])): row[names].to_numpy(float)
        for _, row in found.iterrows()
    }
    assert len(measures) == len(found) == len(expected) > 20
    for _, row in expected.iterrows():
        wanted = row[names].replace(np.inf, np.nan).to_numpy(float)
        actual = measures[row["antecedents"], row["consequents"]]
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-12)
    assert found["lift"].is_monotonic_decreasing


def test_length_and_lift_limits(shop: DataFrame) -> None:
    found = frequent_itemsets(shop, "basket_id", "category", 0.2, max_length=2)
    assert {len(items) for items in as_dict(found)} == {1, 2}
    rules = association_rules(shop, "basket_id", "category", 0.2, 0.0, min_lift=1.0).collect()
    assert rules and all(row["lift"] >= 1.0 for row in rules)
    singles = frequent_itemsets(shop, "basket_id", "category", 0.2, max_length=1)
    assert {len(items) for items in as_dict(singles)} == {1}


def test_any_types_and_snapshot(spark: SparkSession, lake: object) -> None:
    df = spark.createDataFrame([("a", 10), ("a", 9), ("b", 10)], "basket string, item int")
    table = lake.table("baskets")  # type: ignore[attr-defined]
    table.write(df)
    found = frequent_itemsets(table.snapshot(), "basket", "item", 0.5, spark=spark)
    assert dict(found.dtypes)["items"] == "array<string>"
    assert as_dict(found) == {
        frozenset({"10"}): 2,
        frozenset({"9"}): 1,
        frozenset({"10", "9"}): 1,
    }


def test_nothing_to_find(spark: SparkSession) -> None:
    empty = spark.createDataFrame([], "basket_id long, category string")
    assert frequent_itemsets(empty).collect() == []
    rules = association_rules(empty)
    assert rules.collect() == []
    assert dict(rules.dtypes)["antecedent"] == "array<string>"
    rare = spark.createDataFrame([(n, str(n)) for n in range(9)], empty.schema)
    assert frequent_itemsets(rare, min_support=0.5).collect() == []


def test_bad_parameters(shop: DataFrame) -> None:
    for support in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="min_support"):
            frequent_itemsets(shop, min_support=support)
    with pytest.raises(ConfigError, match=r"no column receipt.*basket_id"):
        frequent_itemsets(shop, basket="receipt")
    with pytest.raises(ConfigError, match="min_confidence"):
        association_rules(shop, min_confidence=1.5)
    with pytest.raises(ConfigError, match="max_length"):
        frequent_itemsets(shop, max_length=0)


def test_too_many_itemsets_is_an_error_with_advice(shop: DataFrame) -> None:
    with pytest.raises(DataError, match="raise min_support"):
        frequent_itemsets(shop, min_support=0.2, max_itemsets=3)


def test_minimum_count_is_the_least_share() -> None:
    for total in range(1, 60):
        for support in (0.01, 0.1, 0.2, 0.3, 1 / 3, 0.7, 1.0):
            expected = next(n for n in range(1, total + 1) if n / total >= support)
            assert minimum_count(support, total) == expected


def test_eclat_equals_counting_all_subsets() -> None:
    random = np.random.default_rng(3)
    members = random.random((70, 9)) < 0.45  # more than one 64-bit word
    lengths = members.sum(axis=1)
    baskets = Baskets.of(np.nonzero(members)[1].astype(np.int32), lengths, 9)
    found = by_length(list(frequent(baskets, 9, threshold=5)))
    for length in range(2, 10):
        subsets = list(combinations(range(9), length))
        counts = np.array([members[:, list(items)].all(axis=1).sum() for items in subsets])
        np.testing.assert_array_equal(count(baskets, np.array(subsets), 9), counts)
        expected = {items: n for items, n in zip(subsets, counts.tolist(), strict=True) if n >= 5}
        codes, numbers = found.get(length, (np.zeros((0, length)), np.zeros(0)))
        assert dict(zip(map(tuple, codes.tolist()), numbers.tolist(), strict=True)) == expected
