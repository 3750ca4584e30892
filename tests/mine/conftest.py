"""Baskets that the tests of itemsets, rules and recommendations share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

# Five baskets; a repeated item, a null item and a null basket must not matter.
ROWS = [
    *[(1, "bread"), (1, "milk"), (1, "milk")],
    *[(2, "bread"), (2, "beer"), (2, "nappies")],
    *[(3, "milk"), (3, "beer"), (3, "nappies"), (3, None)],
    *[(4, "bread"), (4, "milk"), (4, "beer"), (4, "nappies")],
    *[(5, "bread"), (5, "milk")],
    *[(None, "beer"), (6, None)],
]


@pytest.fixture(scope="session")
def shop(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, "basket_id int, category string")


@pytest.fixture(scope="session")
def random_baskets() -> Callable[[int, int], pd.DataFrame]:
    """Makes membership [baskets, items] with correlated items of unequal frequency."""

    def make(baskets: int, items: int) -> pd.DataFrame:
        random = np.random.default_rng(7)
        likely = 0.5 / (1 + np.arange(items) / 3)
        table = random.random((baskets, items)) < likely * random.choice([0.5, 1.6], (baskets, 1))
        table[~table.any(axis=1), 0] = True  # a basket of nothing has no row in the long form
        return pd.DataFrame(table, columns=[f"item {n}" for n in range(items)])

    return make


@pytest.fixture(scope="session")
def long_form(spark: SparkSession) -> Callable[[pd.DataFrame], DataFrame]:
    """Turns membership into rows [basket, item]."""

    def turn(table: pd.DataFrame) -> DataFrame:
        baskets, items = np.nonzero(table.to_numpy())
        names = table.columns.to_numpy()[items]
        return spark.createDataFrame(pd.DataFrame({"basket": baskets, "item": names}))

    return turn
