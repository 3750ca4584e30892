"""Itemsets against mlxtend, brute force and tables worked out by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlxtend.frequent_patterns import fpgrowth, fpmax
from pyspark.sql import DataFrame, SparkSession

import sparkmine as sm
from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import baskets, bounded, frequent_itemsets, mining, scanned_baskets
from sparkmine.mine.eclat import Baskets, by_length, count, frequent
from sparkmine.mine.lattice import PARTS_PER_CORE, frame
from sparkmine.mine.mining import minimum_count

Make = Callable[[int, int], pd.DataFrame]
Turn = Callable[[pd.DataFrame], DataFrame]
Counts = dict[frozenset[str], int]


def as_dict(df: DataFrame) -> Counts:
    rows = df.collect()
    found = {frozenset(row["items"]): row["count"] for row in rows}
    assert len(found) == len(rows)
    assert all(row["items"] == sorted(row["items"]) for row in rows)
    return found


def of_mlxtend(found: pd.DataFrame, baskets: int) -> Counts:
    return {
        frozenset(items): round(support * baskets)
        for items, support in zip(found["itemsets"], found["support"], strict=True)
    }


def test_itemsets_by_hand(shop: DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sparkmine.mine.baskets"):
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


@pytest.mark.parametrize("partitions", [1, 2, 3, 7])
def test_itemsets_equal_mlxtend(random_baskets: Make, long_form: Turn, partitions: int) -> None:
    table = random_baskets(600, 14)
    expected = fpgrowth(table, min_support=0.03, use_colnames=True)
    found = frequent_itemsets(long_form(table), "basket", "item", 0.03, partitions=partitions)
    assert as_dict(found) == of_mlxtend(expected, len(table))


@pytest.mark.parametrize("max_length", [None, 1, 2, 3])
def test_closed_and_maximal(random_baskets: Make, long_form: Turn, max_length: int | None) -> None:
    table = random_baskets(60, 12)
    # Two items that are always together, and one in every basket: closures that are not trivial.
    table["item 4"], table["item 9"] = table["item 1"], True
    df = long_form(table).cache()
    everything = of_mlxtend(fpgrowth(table, min_support=0.08, use_colnames=True), len(table))
    shown = {items for items in everything if max_length is None or len(items) <= max_length}
    closed = {
        items: number
        for items, number in everything.items()
        if items in shown
        and not any(items < other and number == n for other, n in everything.items())
    }
    found = as_dict(
        frequent_itemsets(df, "basket", "item", 0.08, max_length=max_length, keep="closed")
    )
    assert found == closed
    assert len(closed) < len(shown)
    # mlxtend's max_len shows the maximal itemsets that are not longer, too.
    maximal = fpmax(table, min_support=0.08, use_colnames=True, max_len=max_length)
    found = as_dict(
        frequent_itemsets(df, "basket", "item", 0.08, max_length=max_length, keep="maximal")
    )
    assert found == of_mlxtend(maximal, len(table))
    df.unpersist()


def test_length_limit(shop: DataFrame) -> None:
    found = frequent_itemsets(shop, "basket_id", "category", 0.2, max_length=2)
    assert {len(items) for items in as_dict(found)} == {1, 2}
    singles = frequent_itemsets(shop, "basket_id", "category", 0.2, max_length=1)
    assert {len(items) for items in as_dict(singles)} == {1}


def test_any_types_and_snapshot(spark: SparkSession, lake: sm.Lake) -> None:
    df = spark.createDataFrame([("a", 10), ("a", 9), ("b", 10)], "basket string, item int")
    table = lake.table("baskets")
    table.write(df)
    found = frequent_itemsets(table.snapshot(), "basket", "item", 0.5, spark=spark)
    assert dict(found.dtypes)["items"] == "array<string>"
    expected = {frozenset({"10"}): 2, frozenset({"9"}): 1, frozenset({"10", "9"}): 1}
    assert as_dict(found) == expected
    # A null within a struct is a value; the struct itself is no null.
    receipts = [((1, None), 10), ((1, None), 9), ((None, 1), 10), (None, 9)]
    structs = spark.createDataFrame(receipts, "basket struct<shop: int, till: int>, item int")
    assert as_dict(frequent_itemsets(structs, "basket", "item", 0.5)) == expected


def test_a_small_snapshot_needs_no_job(
    shop: DataFrame,
    lake: sm.Lake,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = lake.table("shop")
    table.write(shop)
    snapshot = table.snapshot().where("basket_id < 5 or basket_id is null")
    expected = {
        frozenset({"beer", "nappies"}): 3,
        frozenset({"beer"}): 3,
        frozenset({"nappies"}): 3,
    }
    expected |= {frozenset({"milk"}): 3, frozenset({"bread"}): 3}

    def no_job(*_: object, **__: object) -> None:
        raise AssertionError("Spark is asked to read the table")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(mining, "encoded", no_job)
        found = mining.mine_itemsets(snapshot, "basket_id", "category", 0.7)
        texts = {frozenset(found.items[i] for i in row) for row in found.levels[2][0]}
        assert texts == {frozenset({"beer", "nappies"})}
        assert len(found) == len(expected)
    assert "2 rows with a null basket or item are ignored" in caplog.text
    monkeypatch.setattr(scanned_baskets, "ROWS", 3)
    assert as_dict(frequent_itemsets(snapshot, "basket_id", "category", 0.7)) == expected


@pytest.mark.parametrize("limit", ["rows", "texts", "parts", None])
def test_few_rows_are_brought_and_more_are_left_to_tasks(
    spark: SparkSession, lake: sm.Lake, monkeypatch: pytest.MonkeyPatch, limit: str | None
) -> None:
    rows = pd.DataFrame({"basket": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "b", "a" * 9]})
    df = spark.createDataFrame(rows.astype({"item": "string"})).repartition(3)
    if limit == "rows":
        monkeypatch.setattr(scanned_baskets, "PART_ROWS", 0)
    if limit == "texts":
        monkeypatch.setattr(scanned_baskets, "TEXT_BYTES", 8)
    if limit == "parts":
        monkeypatch.setattr(scanned_baskets, "PARTS", 0)
        monkeypatch.setattr(scanned_baskets, "MOST_PARTS", 0)
    found = scanned_baskets.brought(df, "basket", "item")
    if limit is not None:
        assert found is None
    else:
        assert found is not None
        assert dict(zip(found.names.to_pylist(), found.counts.tolist(), strict=True)) == {
            "a": 2,
            "b": 2,
            "a" * 9: 1,
        }
    expected = {frozenset({"a"}): 2, frozenset({"b"}): 2, frozenset({"a", "b"}): 2}
    assert as_dict(frequent_itemsets(df, "basket", "item", 0.5)) == expected


def test_rows_are_brought_whichever_partitions_hold_them(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = spark.range(0, 80, 1, 8).where("id >= 60")  # the last two of eight
    df = last.selectExpr("id % 7 as basket", "cast(id % 3 as string) as item")
    found = scanned_baskets.brought(df, "basket", "item")
    assert found is not None and len(found.lengths) == 7
    pairs = {(n % 7, n % 3) for n in range(60, 80)}
    assert int(found.counts.sum()) == len(pairs)
    # The eighth, of ten rows, may bring an eighth of what each of the first four may.
    monkeypatch.setattr(scanned_baskets, "PART_ROWS", 79)
    assert scanned_baskets.brought(df, "basket", "item") is None
    monkeypatch.setattr(scanned_baskets, "PART_ROWS", 80)
    assert scanned_baskets.brought(df, "basket", "item") is not None


def test_a_large_table_is_a_frame_of_few_partitions_in_its_order(spark: SparkSession) -> None:
    most = PARTS_PER_CORE * spark.sparkContext.defaultParallelism
    table = pa.table({"n": np.arange(20_000 * most)})  # Spark alone makes twice as many
    found = frame(spark, table, "n long")
    assert found.rdd.getNumPartitions() == most
    assert found.toArrow().column("n").to_pylist() == list(range(20_000 * most))


def test_nothing_to_find(spark: SparkSession) -> None:
    empty = spark.createDataFrame([], "basket_id long, category string")
    assert frequent_itemsets(empty, keep="closed").collect() == []
    rare = spark.createDataFrame([(n, str(n)) for n in range(9)], empty.schema)
    assert frequent_itemsets(rare, min_support=0.5).collect() == []
    nulls = spark.createDataFrame([(None, "a"), (1, None)], empty.schema)
    assert frequent_itemsets(nulls, min_support=0.5).collect() == []


def test_one_basket_and_one_item(spark: SparkSession) -> None:
    basket = spark.createDataFrame([(1, "a"), (1, "b"), (1, "a")], "basket_id int, category string")
    assert as_dict(frequent_itemsets(basket, min_support=1.0)) == {
        frozenset("a"): 1,
        frozenset("b"): 1,
        frozenset("ab"): 1,
    }
    assert as_dict(frequent_itemsets(basket, min_support=1.0, keep="maximal")) == {
        frozenset("ab"): 1
    }
    item = spark.createDataFrame([(n, "a") for n in range(3)], basket.schema)
    assert as_dict(frequent_itemsets(item, min_support=1.0)) == {frozenset("a"): 3}


def test_bad_parameters(shop: DataFrame) -> None:
    for support in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="min_support"):
            frequent_itemsets(shop, min_support=support)
    with pytest.raises(ConfigError, match=r"no column receipt.*basket_id"):
        frequent_itemsets(shop, basket="receipt")
    with pytest.raises(ConfigError, match="basket and item are both 'category'"):
        frequent_itemsets(shop, basket="category", item="category")
    for name in ("max_length", "partitions", "max_itemsets"):
        with pytest.raises(ConfigError, match=name):
            frequent_itemsets(shop, **{name: 0})
    with pytest.raises(ConfigError, match=r"keep is 'most'.*closed"):
        frequent_itemsets(shop, keep="most")  # type: ignore[arg-type]


@pytest.mark.parametrize("partitions", [None, 2])
def test_too_many_itemsets_are_refused_with_advice(
    shop: DataFrame, spark: SparkSession, partitions: int | None
) -> None:
    few = r"4 itemsets or more .* 3 are allowed \(max_itemsets\): raise min_support, set max_length"
    with pytest.raises(DataError, match=few):
        frequent_itemsets(shop, min_support=0.2, max_itemsets=3, partitions=partitions)
    # Fifteen itemsets: found out while mining.
    with pytest.raises(DataError, match=r"at min_support 0.2, and 6 .* \(\d[.\d]* should do\)"):
        frequent_itemsets(shop, min_support=0.2, max_itemsets=6, partitions=partitions)
    # 2^60 itemsets: nothing but the estimate can say so in time.
    rows = [(b, n) for b in (1, 2) for n in range(60 * b - 60, 60 * b)]
    long = spark.createDataFrame(rows, "basket_id int, category int")
    with pytest.raises(DataError, match=r"bytes each in .* MiB: .*spark.driver.m.* \(1 should do"):
        frequent_itemsets(long, min_support=0.5, partitions=partitions)


def test_what_all_parts_find_is_bounded(
    random_baskets: Make, long_form: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = random_baskets(600, 14)
    df = long_form(table)
    expected = of_mlxtend(fpgrowth(table, min_support=0.03, use_colnames=True), len(table))
    most = 300  # no part finds so many, together they do: some are frequent in one part only
    found = frequent_itemsets(df, "basket", "item", 0.03, partitions=7, max_itemsets=most)
    assert as_dict(found) == expected and len(expected) < most
    monkeypatch.setattr(mining, "CANDIDATES", 1)
    with pytest.raises(DataError, match=f"{most:,} are allowed"):
        frequent_itemsets(df, "basket", "item", 0.03, partitions=7, max_itemsets=most)


def test_a_long_search_is_left_to_tasks(
    random_baskets: Make, long_form: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = random_baskets(300, 10)
    expected = of_mlxtend(fpgrowth(table, min_support=0.05, use_colnames=True), len(table))
    monkeypatch.setattr(bounded, "SURE", 20)
    monkeypatch.setattr(mining, "HERE_ITEMSETS", 20)
    assert as_dict(frequent_itemsets(long_form(table), "basket", "item", 0.05)) == expected
    # Too many bytes for the driver, and blocks of few baskets.
    monkeypatch.setattr(mining, "HERE_BYTES", 100)
    monkeypatch.setattr(baskets, "BLOCK_BASKETS", 7)
    assert as_dict(frequent_itemsets(long_form(table), "basket", "item", 0.05)) == expected


def test_apriori_is_another_name() -> None:
    assert sm.mine.apriori is sm.mine.frequent_itemsets


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
