"""Association rules against mlxtend, brute force and tables worked out by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlxtend.frequent_patterns import association_rules as mlxtend_rules
from mlxtend.frequent_patterns import fpgrowth
from pyspark.sql import DataFrame, SparkSession

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import AssociationRules, RulesModel, association_rules
from sparkmine.mine.mining import mine_itemsets
from sparkmine.mine.rule_search import Search, Side, _highest_first

Make = Callable[[int, int], pd.DataFrame]
Turn = Callable[[pd.DataFrame], DataFrame]
Rule = tuple[frozenset[str], frozenset[str]]
MEASURES = ["support", "confidence", "lift", "leverage", "conviction", "zhang"]
SUPPORT, CONFIDENCE = 0.05, 0.35


@pytest.fixture(scope="module")
def baskets(random_baskets: Make) -> pd.DataFrame:
    table = random_baskets(400, 12)
    table["item 11"] = table["item 2"] & table["item 3"]  # rules that always hold
    table.loc[~table.any(axis=1), "item 0"] = True
    return table


@pytest.fixture(scope="module")
def expected(baskets: pd.DataFrame) -> pd.DataFrame:
    itemsets = fpgrowth(baskets, min_support=SUPPORT, use_colnames=True)
    rules = mlxtend_rules(itemsets, metric="confidence", min_threshold=CONFIDENCE)
    return rules.rename(columns={"zhangs_metric": "zhang"})


@pytest.fixture(scope="module")
def mined(baskets: pd.DataFrame, long_form: Turn) -> Any:
    """The itemsets of the baskets, from which searches make rules without Spark."""
    return mine_itemsets(long_form(baskets), "basket", "item", SUPPORT, partitions=2)


def search(mined: Any, **settings: Any) -> set[Rule]:
    ranges = {"confidence": (CONFIDENCE, None), **settings.pop("ranges", {})}
    table = Search(ranges=ranges, max_consequent=None, **settings).rules(mined)
    return {
        (frozenset(left), frozenset(right))
        for left, right in zip(
            *(table.column(name).to_pylist() for name in ("antecedent", "consequent")), strict=True
        )
    }


def test_a_table_holds_codes_in_order(mined: Any) -> None:
    table = Search(ranges={"confidence": (CONFIDENCE, None)}, max_consequent=None).rules(mined)
    for side in ("antecedent", "consequent"):
        assert pa.types.is_dictionary(table.schema.field(side).type.value_type)
    # Many rules share their lift; then those that hold in more baskets come first.
    lifts, supports = table.column("lift").to_pylist(), table.column("support").to_pylist()
    keys = list(zip(lifts, supports, strict=True))
    assert len(set(lifts)) < len(lifts)
    assert keys == sorted(keys, reverse=True)


def test_order_when_numbers_do_not_fit_one_key() -> None:
    random = np.random.default_rng(3)
    first = random.integers(0, 5, 1000) / 7
    for second in (random.integers(0, 9, 1000), random.integers(0, 2**60, 1000)):
        wanted = sorted(range(1000), key=lambda i: (-first[i], -second[i], i))
        assert _highest_first(first, second).tolist() == wanted


def pairs(rules: pd.DataFrame) -> set[Rule]:
    return set(zip(rules["antecedents"], rules["consequents"], strict=True))


def test_rules_by_hand(shop: DataFrame) -> None:
    rules = association_rules(shop, "basket_id", "category", 0.6, 0.75)
    assert [name for name, _ in rules.dtypes] == ["antecedent", "consequent", *MEASURES]
    found = {(row[0][0], row[1][0]): tuple(row[2:]) for row in rules.collect()}
    assert set(found) == {
        *{("beer", "nappies"), ("nappies", "beer")},
        *{("bread", "milk"), ("milk", "bread")},
    }
    # s(beer) = s(nappies) = s(both) = 3/5: it always holds, so conviction is null.
    assert found["beer", "nappies"][:4] == pytest.approx((0.6, 1.0, 5 / 3, 0.6 - 0.36))
    assert found["beer", "nappies"][4:] == (None, 1.0)
    # s(bread) = s(milk) = 4/5, s(both) = 3/5; zhang is -0.04 / max(0.6 * 0.2, 0.8 * 0.2).
    assert found["bread", "milk"] == pytest.approx((0.6, 0.75, 0.9375, -0.04, 0.8, -0.25))


def check(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same rules with the same measures, as pandas has them of an Arrow table and of Spark."""
    measures = {
        (frozenset(row["antecedent"]), frozenset(row["consequent"])): row[MEASURES].to_numpy(float)
        for _, row in found.iterrows()
    }
    assert len(measures) == len(found) == len(expected) > 20
    assert found["conviction"].isna().any()
    for _, row in expected.iterrows():
        wanted = row[MEASURES].to_numpy(float)
        wanted[np.isinf(wanted)] = np.nan
        actual = measures[row["antecedents"], row["consequents"]]
        np.testing.assert_allclose(actual, wanted, rtol=1e-9, atol=1e-12)
    assert found["lift"].is_monotonic_decreasing


@pytest.mark.parametrize("max_consequent", [1, None])
def test_rules_equal_mlxtend(
    baskets: pd.DataFrame, expected: pd.DataFrame, long_form: Turn, max_consequent: int | None
) -> None:
    if max_consequent is not None:
        expected = expected[expected["consequents"].map(len) <= max_consequent]
    found = association_rules(
        long_form(baskets),
        *("basket", "item", SUPPORT, CONFIDENCE),
        max_consequent=max_consequent,
        partitions=2,
    ).toPandas()
    check(found, expected)


def test_a_model_keeps_its_rules(
    baskets: pd.DataFrame, expected: pd.DataFrame, long_form: Turn, tmp_path: Path
) -> None:
    settings = AssociationRules(min_support=SUPPORT, min_confidence=CONFIDENCE, max_consequent=None)
    settings.fit(long_form(baskets), "basket", "item").save(tmp_path / "rules")
    model = RulesModel.load(tmp_path / "rules")
    assert (model.basket, model.item, model.baskets) == ("basket", "item", len(baskets))
    assert model.itemsets == len(fpgrowth(baskets, min_support=SUPPORT))
    check(model.rules.to_pandas(), expected)


def test_an_item_of_every_basket_says_nothing(spark: SparkSession) -> None:
    rows = [(1, "bag"), (2, "bag"), (1, "milk")]
    df = spark.createDataFrame(rows, "basket_id int, category string")
    rules = association_rules(df, min_support=0.5, min_confidence=0.0).collect()
    assert {(*row["antecedent"], *row["consequent"]): tuple(row[2:]) for row in rules} == {
        ("bag", "milk"): (0.5, 0.5, 1.0, 0.0, 1.0, 0.0),
        ("milk", "bag"): (0.5, 1.0, 1.0, 0.0, None, 0.0),
    }


@pytest.mark.parametrize("name", MEASURES)
def test_a_range_of_any_measure(mined: Any, expected: pd.DataFrame, name: str) -> None:
    # Limits lie between two values, so that rounding decides nothing.
    values = np.unique(expected[name].to_numpy(float).round(9))
    low, high = (values[place : place + 2].mean() for place in (len(values) // 3, len(values) // 2))
    kept = expected[expected[name].between(low, high)]
    assert 0 < len(kept) < len(expected)
    assert search(mined, ranges={name: (low, high)}) == pairs(kept)
    # A conviction without end is above any least value.
    assert search(mined, ranges={name: (low, None)}) == pairs(expected[expected[name] >= low])


def test_what_the_sides_hold(mined: Any, expected: pd.DataFrame) -> None:
    found = search(
        mined,
        antecedent=Side(has=["item 1", "item 2"], lacks=["item 0"]),
        consequent=Side(has=["item 3", "nobody buys it"], lacks=["item 4"]),
    )
    assert found == {
        (left, right)
        for left, right in pairs(expected)
        if left & {"item 1", "item 2"}
        and "item 0" not in left
        and "item 3" in right
        and "item 4" not in right
    }
    assert found


def test_redundant_rules_are_pruned(
    baskets: pd.DataFrame, expected: pd.DataFrame, mined: Any
) -> None:
    def count(items: frozenset[str]) -> int:
        return int(baskets[sorted(items)].all(axis=1).sum())

    def confidence(left: frozenset[str], right: frozenset[str]) -> Fraction:
        return Fraction(count(left | right), count(left))

    wanted = {
        (left, right)
        for left, right in pairs(expected)
        if all(
            confidence(frozenset(part), right) < confidence(left, right)
            for size in range(1, len(left))
            for part in combinations(left, size)
        )
    }
    assert len(wanted) < len(expected)
    assert search(mined, prune=True) == wanted
    # What makes a rule redundant need not pass the filters itself.
    lift = expected["lift"].median() + 1e-9
    above = pairs(expected[expected["lift"] >= lift])
    assert search(mined, prune=True, ranges={"lift": (lift, None)}) == wanted & above


def test_a_part_of_a_part_makes_a_rule_redundant(spark: SparkSession) -> None:
    # a -> d holds for 102 of 123; ab, ac and bc -> d for 2 of 13 each; abc -> d for 2 of 3.
    bought = [("ad", 100), ("ab", 10), ("ac", 10), ("bc", 10), ("abcd", 2), ("abc", 1)]
    baskets = [items for items, times in bought for _ in range(times)]
    rows = [(number, item) for number, items in enumerate(baskets) for item in items]
    df = spark.createDataFrame(rows, "basket_id int, category string")
    for prune, antecedents in ((False, ["a", "abc"]), (True, ["a"])):
        rules = association_rules(df, *("basket_id", "category", 0.01, 0.5), prune=prune)
        found = rules.where("consequent[0] = 'd'").collect()
        assert sorted("".join(row["antecedent"]) for row in found) == antecedents


def test_least_lift_and_filters_of_the_function(
    shop: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="sparkmine.mine.rules"):
        rules = association_rules(
            shop,
            *("basket_id", "category", 0.2, 0.0),
            min_lift=1.0,
            max_consequent=None,
            filters={"lift": (None, 1.2), "support": (0.4, None)},
            antecedent_lacks=["bread"],
            consequent_has=["nappies", "wine"],
        ).collect()
    # Of {milk, beer, nappies}, in 2 baskets of 5: lift 2/5 / (2/5 * 3/5) is too high for beer alone
    # and {milk, beer}; 2/5 / (4/5 * 3/5) is too low.
    assert [(row["antecedent"], row["consequent"]) for row in rules] == []
    assert "not frequent, so in no rule: wine" in caplog.text


def test_nothing_to_find(spark: SparkSession, tmp_path: Path) -> None:
    empty = spark.createDataFrame([], "basket_id long, category string")
    AssociationRules().fit(empty, "basket_id", "category").save(tmp_path / "rules")
    rules = RulesModel.load(tmp_path / "rules").to_frame(spark)
    assert rules.collect() == []
    assert dict(rules.dtypes)["antecedent"] == "array<string>"


def test_bad_parameters(shop: DataFrame) -> None:
    for settings, says in [
        ({"min_confidence": 1.5}, "min_confidence"),
        ({"max_consequent": 0}, "max_consequent"),
        ({"filters": {"lft": (1, None)}}, r"no measure 'lft'.*lift"),
        ({"filters": {"lift": (2, 1)}}, "lift is to be at least 2 and at most 1"),
        ({"filters": {"lift": (float("nan"), None)}}, "lift"),
        ({"consequent_has": "milk"}, "'milk' is one text; give a list"),
    ]:
        with pytest.raises(ConfigError, match=says):
            association_rules(shop, **settings)


def test_too_many_rules_are_an_error_with_advice(mined: Any) -> None:
    with pytest.raises(DataError, match=r"more than 5 rules: raise min_confidence.*prune"):
        search(mined, max_rules=5)
