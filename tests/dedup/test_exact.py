"""Exact duplicates against pandas: the same survivors whatever the partitioning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sparkmine.dedup import exact
from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """300 rows over 40 keys, with ties in the order and whole rows that are equal."""
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "key": generator.integers(0, 40, 300),
            "amount": generator.integers(0, 5, 300) / 2,
            "shop": generator.choice(["a", "b", "c"], 300),
        }
    )
    return pd.concat([frame, frame.head(30)], ignore_index=True)


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_survivors_equal_those_of_pandas(
    spark: SparkSession, rows: pd.DataFrame, partitions: int
) -> None:
    df = spark.createDataFrame(rows).repartition(partitions)
    found = exact(df, ["key"], ["amount desc"]).toPandas()
    expected = rows.sort_values(["amount", "shop"], ascending=[False, True])
    expected = expected.drop_duplicates("key")
    order = ["key", "amount", "shop"]
    assert found.sort_values(order).values.tolist() == expected.sort_values(order).values.tolist()
    whole = exact(df).toPandas().sort_values(order)
    assert whole.values.tolist() == rows.drop_duplicates().sort_values(order).values.tolist()


def test_nulls_and_nans_are_equal_to_themselves(spark: SparkSession) -> None:
    values = [(None, 1.0), (None, 1.0), (float("nan"), 2.0), (float("nan"), 2.0), (-0.0, 3.0)]
    df = spark.createDataFrame([*values, (0.0, 3.0)], "x double, y double")
    assert exact(df).count() == 3
    assert exact(df, ["x"]).count() == 3


@pytest.mark.parametrize(
    ("key", "order", "says"),
    [
        (["gone"], [], "reads column 'gone'"),
        (["id"], ["gone desc"], "reads column 'gone'"),
        (["id"], ["id down"], "write a column, or a column and desc"),
        ([], [], "at least one key column"),
        (None, ["id"], "has no order"),
    ],
)
def test_mistakes(spark: SparkSession, key: list[str] | None, order: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        exact(spark.range(1), key, order)
