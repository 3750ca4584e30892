"""Weights of rows and classes, against repeated rows, NumPy and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from sparkmine.errors import ConfigError, DataError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import MLP, TrainedModel
from sparkmine.train.layout import Feature, Layout
from sparkmine.train.weighting import RowWeights, balanced

Fit = Callable[..., TrainedModel]
NETWORK = MLP(hidden=[4], activation="tanh")
SETTINGS: dict[str, Any] = {"features": ["a", "b"], "optimizer": "sgd", "learning_rate": 0.5}


@pytest.fixture(scope="module")
def rows() -> list[tuple[float, float, int, float]]:
    """40 rows of a, b, y and a weight from 0 to 3; 13 of class 1."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40)).round(3)
    y = np.repeat([0, 1], [27, 13])
    weight = rng.integers(0, 4, 40)
    return [
        (float(p), float(q), int(r), float(s)) for p, q, r, s in zip(a, b, y, weight, strict=True)
    ]


@pytest.fixture(scope="module")
def frame(rows: list[Any], spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(rows, "a double, b double, y int, weight double").coalesce(1)


@pytest.fixture(scope="module")
def table(
    frame: DataFrame, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Snapshot:
    """The same rows; a DataFrame is written to a table of its own for every fit."""
    written = Lake(tmp_path_factory.mktemp("weighting"), spark).table("rows")
    written.write(frame)
    return written.snapshot()


def test_a_weight_of_2_is_the_row_twice(
    rows: list[Any], frame: DataFrame, spark: SparkSession, fit_here: Fit
) -> None:
    twice = [row for row in rows for _ in range(int(row[3]))]
    # The loss is divided by rows: with weights of mean 1 both sums are divided alike.
    weighted = frame.withColumn("weight", f.col("weight") * 40.0 / len(twice))
    repeated = spark.createDataFrame(twice, frame.schema).coalesce(1)
    one = fit_here(NETWORK, weighted, weight="weight", batch_size=40, epochs=4, **SETTINGS)
    two = fit_here(NETWORK, repeated, batch_size=len(twice), epochs=4, **SETTINGS)
    assert one.settings["weight"] == "weight"
    np.testing.assert_allclose(
        [record["loss"] for record in one.history],
        [record["loss"] for record in two.history],
        atol=1e-6,
    )
    for found, expected in zip(
        one.network().get_weights(), two.network().get_weights(), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_class_weights_are_row_weights(frame: DataFrame, table: Snapshot, fit_here: Fit) -> None:
    by_class = {0: 0.5, 1: 3.0}
    settings = {**SETTINGS, "batch_size": 16, "epochs": 3}
    column = f.when(f.col("y") == 1, 3.0).otherwise(0.5)
    one = fit_here(NETWORK, table, class_weight=by_class, validation=table, **settings)
    two = fit_here(NETWORK, frame.withColumn("weight", column), weight="weight", **settings)
    assert one.weights_hash == two.weights_hash
    assert one.settings["class_weight"] == {"0": 0.5, "1": 3.0}
    # Validation figures are those of the rows as they are.
    rows = frame.toPandas()
    scores = one.predict(rows[["a", "b"]].to_numpy(np.float32))[:, 0].astype(float)
    assert one.metrics["val_loss"] == pytest.approx(log_loss(rows.y, scores), abs=1e-6)


def test_the_loss_is_the_weighted_sum_over_the_rows(
    frame: DataFrame, table: Snapshot, fit_here: Fit
) -> None:
    rows = frame.toPandas()
    settings = {**SETTINGS, "learning_rate": 1e-12, "batch_size": 40, "epochs": 1}
    trained = fit_here(NETWORK, table, weight="weight", class_weight="balanced", **settings)
    scores = trained.predict(rows[["a", "b"]].to_numpy(np.float32))[:, 0].astype(float)
    losses = -np.log(np.where(rows.y == 1, scores, 1 - scores))
    of_class = compute_class_weight("balanced", classes=np.array([0, 1]), y=rows.y)
    expected = (losses * of_class[rows.y] * rows.weight).sum() / 40
    assert trained.history[0]["loss"] == pytest.approx(expected, abs=1e-6)


def test_balanced_equals_scikit_learn() -> None:
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    found = balanced({0: 70, 1: 20, 2: 10})
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=labels)
    np.testing.assert_allclose(list(found.values()), expected)


def test_weights_multiply() -> None:
    layout = Layout(columns=(Feature("x"),), labels=("y",), weight="w")
    weights = RowWeights(layout, {0: 1.0, 1: 5.0}, 2)
    targets = np.array([[0, 2], [1, 3], [1, 0]], np.float32)
    np.testing.assert_array_equal(weights.of(targets), [2, 15, 0])
    assert not RowWeights(Layout(columns=layout.columns, labels=("y",)), None, 2)


def test_wrong_weights_are_named(table: Snapshot, fit_here: Fit) -> None:
    settings = {**SETTINGS, "batch_size": 16}
    regression = MLP(hidden=[], task="regression")

    def made(width: int) -> keras.Model:
        return keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])

    for options, error, text in [
        ({"class_weight": {0: 1.0}}, ConfigError, "has the classes .0.; the label has 0 to 1"),
        ({"class_weight": {0: 1.0, 1: -2.0}}, ConfigError, "class 1 is -2.0: at least 0"),
        ({"class_weight": "even"}, ConfigError, "'balanced' or a weight"),
        ({"class_weight": "balanced", "label": "weight", "features": ["y"]}, ConfigError, "0 to 1"),
        ({"weight": "b"}, ConfigError, "the weight b is also a feature"),
        ({"weight": "c"}, ConfigError, "columns missing: c"),
        ({"weight": "b", "features": ["a"]}, DataError, "weights in b are null, negative"),
    ]:
        with pytest.raises(error, match=text):
            fit_here(NETWORK, table, **{**settings, **options})
    # A function's task is not known before its model is made: here by its last layer.
    for network in (regression, made):
        with pytest.raises(ConfigError, match="class_weight is for one label with classes"):
            fit_here(network, table, class_weight={0: 1.0, 1: 2.0}, **settings)
