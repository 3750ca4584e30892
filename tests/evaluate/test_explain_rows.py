"""Reasons for rows against Shapley values by brute force, and the closed form of linear models."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sparkmine.errors import ConfigError
from sparkmine.evaluate.explain import Probe, Reasons
from sparkmine.evaluate.explain.reasons import FittedReasons
from sparkmine.expr import Expr, col
from sparkmine.mine.expression_model import ExpressionModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

BruteForce = Callable[[Callable[..., np.ndarray], np.ndarray, np.ndarray], np.ndarray]

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(2)
    table = pd.DataFrame(random.normal(size=(60, 4)), columns=NAMES)
    table["id"] = np.arange(60)
    table["shop"] = np.where(table.a > 0, "north", "south")
    table["was"] = table.a * 100
    return spark.createDataFrame(table).repartition(3).cache()


def surface(expression: Expr, df: DataFrame) -> Probe:
    model = ExpressionModel(expression=expression)
    return Probe.of(model, df, NAMES, task="regression", keys=["id"], seed=1)


def explained(fitted: FittedReasons, df: DataFrame) -> pd.DataFrame:
    found = fitted.transform(df, ["id"], {"a": "was"}).toPandas().set_index("id").sort_index()
    parts = found.contributions.apply(pd.Series)
    total = parts.sum(axis=1) + found.expected
    assert total.to_numpy() == pytest.approx(found.prediction.to_numpy(), rel=1e-9, abs=1e-12)
    return found.join(parts)


def test_reasons_of_a_linear_model_are_weights_times_distances(df: DataFrame) -> None:
    probe = surface(3 * col("a") - 2 * col("b") + 0 * col("c"), df)
    fitted = Reasons(background=7, top=2).fit(probe)
    found, rows = explained(fitted, df), df.toPandas().set_index("id").sort_index()
    means = fitted.background.to_pandas()[NAMES].mean()
    for name, weight in (("a", 3.0), ("b", -2.0), ("c", 0.0), ("d", 0.0)):
        expected = weight * (rows[name] - means[name])
        assert found[name].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-9)
    # The background is spread over the predictions, so its mean is close to theirs.
    assert fitted.expected[0] == pytest.approx(probe.outputs.mean(), abs=0.3)
    first = found.iloc[0]
    assert len(first.reasons) == 2
    pattern = re.fullmatch(r"a (\S+) \(([+-]\S+)\)", next(r for r in first.reasons if r[0] == "a"))
    assert pattern is not None
    assert float(pattern[1]) == pytest.approx(rows.was.iloc[0], rel=1e-3)
    assert float(pattern[2]) == pytest.approx(first.a, rel=1e-3)


def test_reasons_of_features_in_pairs_are_exact_shapley_values(
    df: DataFrame, brute_force: BruteForce
) -> None:
    a, b, c, d = (col(name) for name in NAMES)
    fitted = Reasons(background=5).fit(surface(a * b + (c * c) * d - a + b * d, df))
    found, rows = explained(fitted, df), df.toPandas().set_index("id").sort_index()
    background = fitted.background.to_pandas()[NAMES].to_numpy()
    expected = brute_force(
        lambda a, b, c, d: a * b + c * c * d - a + b * d, rows[NAMES].to_numpy(), background
    )
    assert found[NAMES].to_numpy() == pytest.approx(expected, abs=1e-9)


def test_more_orders_come_closer_where_three_act_together(
    df: DataFrame, brute_force: BruteForce
) -> None:
    a, b, c, d = (col(name) for name in NAMES)
    probe, rows = surface(a * b * c + d, df), df.toPandas().set_index("id").sort_index()
    fitted = Reasons(background=4, orders=60).fit(probe)
    background = fitted.background.to_pandas()[NAMES].to_numpy()
    expected = brute_force(lambda a, b, c, d: a * b * c + d, rows[NAMES].to_numpy(), background)
    found = explained(fitted, df)[NAMES].to_numpy()
    assert np.abs(found - expected).max() < 0.15 * np.abs(expected).max()
    assert found[:, 3] == pytest.approx(expected[:, 3], abs=1e-9)


def test_the_less_important_columns_are_taken_together(df: DataFrame) -> None:
    gaps = df.selectExpr("id", "a", "b", "c", "if(id = 3, null, d) as d", "was")
    fitted = Reasons(background=3, most=2, top=5).fit(
        surface(col("a") + 2 * col("b") + 3 * col("c") + 4 * col("d"), df), ["d", "b", "a", "c"]
    )
    assert [player.name for player in fitted.players] == ["d", "b", "other columns"]
    found = fitted.transform(gaps, ["id"]).toPandas().set_index("id").sort_index()
    rows, means = df.toPandas().set_index("id").sort_index(), fitted.background.to_pandas().mean()
    others = found.contributions.drop(3).apply(lambda parts: dict(parts)["other columns"])
    expected = (rows.a - means.a) + 3 * (rows.c - means.c)
    assert others.to_numpy() == pytest.approx(expected.drop(3).to_numpy(), abs=1e-9)
    assert all(len(reasons) == 2 for reasons in found.reasons.drop(3))
    # A row that the model cannot score has no reasons, and is not lost.
    assert len(found) == 60 and found.loc[3, ["reasons", "contributions"]].isna().all()
    assert np.isnan(found.loc[3, "prediction"])


def test_mistakes_end_with_a_coded_error(df: DataFrame) -> None:
    for wrong, message in (({"orders": 3}, "must be even"), ({"top": 0}, "must be 1 or more")):
        with pytest.raises(ConfigError, match=message):
            Reasons(**wrong)
    fitted = Reasons(background=2).fit(surface(col("a"), df))
    with pytest.raises(ConfigError, match="no column d"):
        fitted.transform(df.drop("d"), ["id"])
