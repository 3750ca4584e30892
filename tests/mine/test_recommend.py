"""Recommendations against a loop over baskets and rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkmine.errors import ConfigError
from sparkmine.mine import AssociationRules, association_rules, matching, recommend
from sparkmine.model import Model

Make = Callable[[int, int], pd.DataFrame]
Turn = Callable[[pd.DataFrame], DataFrame]
RULES = "antecedent array<string>, consequent array<string>, support double, confidence double"


@pytest.fixture(scope="module")
def baskets(random_baskets: Make, long_form: Turn) -> DataFrame:
    return long_form(random_baskets(300, 12)).cache()


@pytest.fixture(scope="module")
def rules(baskets: DataFrame) -> DataFrame:
    """With rounded confidences, so that many are equal, and some rules given twice."""
    found = association_rules(baskets, "basket", "item", 0.05, 0.3, max_consequent=2)
    rounded = found.selectExpr(
        *("antecedent", "consequent", "round(support, 1) as support"),
        *("round(confidence, 1) as confidence", "lift", "conviction"),
    )
    return rounded.union(rounded.limit(30)).cache()


def by_hand(baskets: DataFrame, rules: DataFrame, top_k: int, score: str) -> list[Any]:
    held: dict[int, set[str]] = {}
    for row in baskets.collect():
        held.setdefault(row["basket"], set()).add(row["item"])
    known = [
        (
            -(np.inf if row[score] is None else row[score]),
            -row["support"],
            len(row["antecedent"]),
            row["antecedent"],
            row["consequent"],
        )
        for row in rules.collect()
    ]
    known.sort()
    found = []
    for basket, items in held.items():
        offered: dict[str, tuple[Any, ...]] = {}
        for rule in known:
            if set(rule[3]) <= items:
                for item in sorted(set(rule[4]) - items):
                    offered.setdefault(item, rule)
        best = sorted(offered.items(), key=lambda pair: (pair[1], pair[0]))[:top_k]
        found += [(basket, item, -rule[0], rule[3], rule[4]) for item, rule in best]
    return sorted(found)


@pytest.mark.parametrize(
    ("how", "score", "top_k"),
    [("broadcast", "confidence", 3), ("join", "confidence", 3), ("auto", "conviction", 1)],
)
def test_recommendations_equal_a_loop(
    baskets: DataFrame,
    rules: DataFrame,
    how: Any,
    score: str,
    top_k: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = recommend(baskets, rules, "basket", "item", top_k, score=score, how=how)
    assert found.columns == ["basket", "item", "score", "antecedent", "consequent"]
    rows = sorted(tuple(row) for row in found.collect())
    expected = by_hand(baskets, rules, top_k, score)
    assert rows == expected
    assert len(expected) > 100


def test_a_saved_model_recommends(spark: SparkSession, baskets: DataFrame, tmp_path: Path) -> None:
    rules = AssociationRules(min_support=0.05, max_consequent=2).fit(baskets, "basket", "item")
    rules.save(tmp_path / "rules")
    model = Model.load(tmp_path / "rules")
    table = rules.to_frame(spark)
    for found, wanted in (
        (model.transform(baskets, 2, score="lift"), by_hand(baskets, table, 2, "lift")),
        (model.score(baskets, ["basket"]), by_hand(baskets, table, 5, "confidence")),
    ):
        assert sorted(tuple(row) for row in found.collect()) == wanted
    with pytest.raises(ConfigError, match="basket is all that can be kept"):
        model.score(baskets, ["basket", "item"])


def test_small_steps_change_nothing(baskets: DataFrame, rules: DataFrame) -> None:
    best_first = rules.orderBy("support", "confidence").toArrow().select([0, 1, 3])
    best_first = best_first.rename_columns(["antecedent", "consequent", "score"])
    matcher = matching.Matcher.of(best_first, 3)
    grouped = baskets.groupBy("basket").agg({"item": "collect_list"}).toArrow()
    (batch,) = grouped.combine_chunks().to_batches()
    whole = [row for found in matcher([batch]) for row in found.to_pylist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "BASKETS", 70)
        parts = [batch.slice(begin, 40) for begin in range(0, len(batch), 40)]
        steps = [found.to_pylist() for found in matcher(parts)]
    assert len(steps) > 3
    assert [row for rows in steps for row in rows] == whole


def test_by_hand(spark: SparkSession) -> None:
    rows = [(1, "beer"), (1, "beer"), (2, "beer"), (2, "nappies"), (3, "wine"), (4, None)]
    df = spark.createDataFrame([*rows, (None, "beer")], "basket_id long, category string")
    rules = spark.createDataFrame(
        [
            (["beer"], ["nappies"], 0.1, 0.5),
            (["beer"], ["crisps", "nappies"], 0.1, 0.5),
            (["beer", "nappies"], ["crisps"], 0.2, 0.5),
            (["milk"], ["bread"], 0.5, 0.9),
        ],
        RULES,
    )
    found = {(row[0], row[1]): (row[3], row[4]) for row in recommend(df, rules).collect()}
    # Equal in all but texts: the consequent that comes first gives the item.
    assert found == {
        (1, "crisps"): (["beer"], ["crisps", "nappies"]),
        (1, "nappies"): (["beer"], ["crisps", "nappies"]),
        (2, "crisps"): (["beer", "nappies"], ["crisps"]),
    }


@pytest.mark.parametrize("how", ["broadcast", "join"])
def test_no_rules_and_no_baskets(spark: SparkSession, how: Any) -> None:
    schema = "basket_id struct<shop: int, till: int>, category string"
    some = spark.createDataFrame([((1, 2), "beer"), ((1, None), "milk")], schema)
    none = spark.createDataFrame([], RULES)
    one = spark.createDataFrame([(["milk"], ["beer"], 0.1, 0.5), ([], ["wine"], 0.1, 0.9)], RULES)
    assert recommend(some, none, how=how).collect() == []
    assert recommend(some.limit(0), one, how=how).collect() == []
    (row,) = recommend(some, one, how=how).collect()
    assert (tuple(row["basket_id"]), row["category"]) == ((1, None), "beer")


def test_bad_parameters(baskets: DataFrame, rules: DataFrame) -> None:
    for settings, says in [
        ({"top_k": 0}, "top_k is 0"),
        ({"score": "charm"}, r"score is 'charm'; .*confidence"),
        ({"score": "zhang"}, "no column zhang"),
        ({"how": "fast"}, r"how is 'fast'; .*join"),
        ({"basket": "receipt"}, "no column receipt"),
        ({"item": "score"}, "names of their own"),
    ]:
        with pytest.raises(ConfigError, match=says):
            recommend(baskets, rules, **{"basket": "basket", "item": "item", **settings})
