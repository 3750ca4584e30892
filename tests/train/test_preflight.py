"""What is refused before anything starts, and how fast."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from sparkmine.errors import ConfigError, DataError, TooFewSlotsError
from sparkmine.train import MLP, fit, preflight


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    return spark.range(100).select(
        f.col("id").cast("double").alias("x"),
        f.col("id").cast("string").alias("name"),
        (f.col("id") % 2).alias("y"),
    )


def test_more_ranks_than_slots(frame: DataFrame, spark: SparkSession) -> None:
    slots = preflight.count_slots(spark)
    with pytest.raises(TooFewSlotsError, match=f"has {slots}; set ranks to {slots} or less"):
        fit(MLP(), train=frame, features=["x"], ranks=slots + 1, spark=spark)


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"features": ["x", "gone"]}, ConfigError, "columns missing: gone"),
        ({"features": ["name"]}, ConfigError, "not numbers: name"),
        ({"label": "name"}, ConfigError, "label name is string"),
        ({"ranks": 0}, ConfigError, "ranks=0: at least 1"),
        ({"epochs": 0}, ConfigError, "epochs=0"),
        ({"batch_size": 51}, DataError, "100 rows .* set batch_size to 50 or less"),
        ({"learning_rate": 0.0}, ConfigError, "must be above 0"),
        ({"gpus_per_rank": 1}, ConfigError, "gpus_per_rank needs a cluster"),
        ({"max_restarts": 1}, ConfigError, "max_restarts=1: .* it needs checkpoint="),
        ({"max_restarts": -1}, ConfigError, "max_restarts=-1: at least 0"),
        ({"task": "regression"}, ConfigError, "the network says 'binary'"),
        ({"model": 7}, ConfigError, "model is a int"),
        ({"model": "no_colon"}, ConfigError, "package.module:function"),
    ],
)
def test_bad_settings(
    frame: DataFrame,
    spark: SparkSession,
    changed: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    settings: dict[str, Any] = {
        "train": frame,
        "features": ["x"],
        "batch_size": 10,
        "spark": spark,
        **changed,
    }
    model = settings.pop("model", MLP())
    with pytest.raises(error, match=text):
        fit(model, **settings)


def test_empty_validation(frame: DataFrame, spark: SparkSession) -> None:
    with pytest.raises(DataError, match="validation data has no rows"):
        fit(
            MLP(),
            train=frame,
            validation=frame.where("x < 0"),
            features=["x"],
            batch_size=10,
            spark=spark,
        )


def test_rows_without_label(frame: DataFrame, spark: SparkSession) -> None:
    holed = frame.withColumn(
        "y", f.expr("CASE WHEN x = 3 THEN NULL WHEN x = 5 THEN double('NaN') ELSE y END")
    )
    text = "2 of 100 rows have a label y that is null, NaN or infinite; drop them"
    settings: dict[str, Any] = {"features": ["x"], "batch_size": 10, "spark": spark}
    with pytest.raises(DataError, match=text):
        fit(MLP(), train=holed, **settings)
    with pytest.raises(DataError, match=text):
        fit(MLP(), train=frame, validation=holed, **settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"hidden": [0]}, "every number must be at least 1"),
        ({"dropout": 1.0}, "below 1"),
        ({"l2": -1.0}, "must not be negative"),
        ({"task": "ranking"}, "use one of binary, multiclass"),
        ({"task": "multiclass"}, "classes is needed"),
        ({"classes": 3}, "only for it"),
    ],
)
def test_bad_networks(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        MLP(**settings)
