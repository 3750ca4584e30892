"""Models that a user's function returns: which are refused, and what becomes of their metrics."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import f1_score, precision_score, r2_score, roc_auc_score

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import EarlyStopping, TrainedModel, fit


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    """201 rows [id, x, y] in two files: y is 1 for most rows whose x is large."""
    written = Lake(tmp_path_factory.mktemp("own"), spark).table("rows")
    rows = spark.range(201).selectExpr(
        "id", "id % 17 / 17.0D AS x", "int((id % 17 + id % 5) > 11) AS y"
    )
    written.write(rows.repartition(2, "id"))
    return written.snapshot()


def with_lambda(function: Any) -> Callable[[int], Any]:
    def build(width: int) -> Any:
        import keras

        inner = keras.Sequential(
            [keras.Input((width,)), keras.layers.Lambda(function, (1,), name="curved")]
        )
        return keras.Sequential([keras.Input((width,)), inner, keras.layers.Dense(1)])

    return build


def test_a_lambda_that_scoring_could_not_load_is_refused_before_training(
    fit_here: Callable[..., TrainedModel], table: Snapshot
) -> None:
    import keras

    settings: dict[str, Any] = {"features": ["x"], "batch_size": 100, "epochs": 1}
    events: list[dict[str, Any]] = []
    for function in (lambda x: x * x, with_lambda):
        with pytest.raises(ConfigError, match="layer 'curved' is a Lambda whose function"):
            fit_here(with_lambda(function), table, progress=events.append, **settings)
    assert not events
    trained = fit_here(with_lambda(keras.activations.relu), table, **settings)
    kernel, bias = trained.network().get_weights()
    x = np.array([[-0.5], [2.0]], np.float32)
    expected = np.maximum(x, 0.0) * kernel + bias
    np.testing.assert_allclose(trained.predict(x), expected, atol=1e-6)


def measured(metrics: Callable[[], list[Any]]) -> Callable[[int], Any]:
    """A compiled model that does not learn, so that what it says of a row is known."""

    def build(width: int) -> Any:
        import keras

        begin = keras.initializers.Constant(2.0)
        dense = keras.layers.Dense(1, "sigmoid", kernel_initializer=begin)
        model = keras.Sequential([keras.Input((width,)), dense])
        model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", metrics=metrics())
        return model

    return build


def of_sums() -> list[Any]:
    import keras

    return [
        "mae",
        keras.metrics.RootMeanSquaredError(name="root"),
        keras.metrics.AUC(name="area", num_thresholds=1000),
        keras.metrics.Precision(0.7, name="precision"),
        keras.metrics.F1Score(threshold=0.7, name="f1"),
        keras.metrics.R2Score(name="r2"),
    ]


def expected(table: Snapshot, spark: SparkSession) -> dict[str, float]:
    rows = table.dataframe(spark).toPandas()
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    scores = 1.0 / (1.0 + np.exp(-2.0 * x))
    return {
        "mae": float(np.abs(scores - y).mean()),
        "root": float(np.sqrt(((scores - y) ** 2).mean())),
        "area": roc_auc_score(y, scores),
        "precision": precision_score(y, scores > 0.7),
        "f1": f1_score(y, scores > 0.7),
        "r2": r2_score(y, scores),
    }


@pytest.mark.slow
def test_compiled_metrics_are_those_of_all_ranks(
    table: Snapshot, spark: SparkSession, tmp_path: Path
) -> None:
    """Also in an epoch that two ranks began and one process went on with."""
    settings: dict[str, Any] = {
        "train": table.where("id > 0"),
        "validation": table,
        "features": ["x"],
        "batch_size": 20,
        "epochs": 1,
        "spark": spark,
        "checkpoint_steps": 2,
        "checkpoint_keep": 9,
        "early_stopping": EarlyStopping(monitor="val_f1"),
    }
    whole = expected(table, spark)
    trained_on = expected(table.where("id > 0"), spark)
    two = fit(measured(of_sums), **settings, ranks=2, checkpoint=tmp_path)
    for name in ("epoch-00001", "epoch-00000-step-000000004"):
        shutil.rmtree(tmp_path / name)
    events: list[dict[str, Any]] = []
    one = fit(measured(of_sums), **settings, ranks=1, checkpoint=tmp_path, progress=events.append)
    assert any(event["event"] == "epoch" for event in events)
    for trained in (two, one):
        last = trained.metrics
        for name, value in whole.items():
            assert last[f"val_{name}"] == pytest.approx(value, abs=2e-3), name
            assert last[name] == pytest.approx(trained_on[name], abs=2e-3), name
        for name in ("mae", "root", "precision", "f1", "r2"):
            assert last[f"val_{name}"] == pytest.approx(whole[name], abs=1e-5), name
            assert last[name] == pytest.approx(trained_on[name], abs=1e-5), name


def largest() -> list[Any]:
    import keras

    class Largest(keras.metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="largest")
            self.value = self.add_weight(shape=(), initializer="zeros")

        def update_state(self, y: Any, score: Any, sample_weight: Any = None) -> None:
            self.value.assign(keras.ops.maximum(self.value, keras.ops.max(score)))

        def result(self) -> Any:
            return self.value

    return [Largest()]


def test_one_rank_may_have_any_metric(
    table: Snapshot, fit_here: Callable[..., TrainedModel]
) -> None:
    alone = fit_here(measured(largest), table, features=["x"], batch_size=20, epochs=1)
    assert alone.metrics["largest"] == pytest.approx(1 / (1 + np.exp(-2 * 16 / 17)), abs=1e-6)


@pytest.mark.slow
def test_a_metric_that_cannot_be_added_up_is_refused_on_several_ranks(
    table: Snapshot, spark: SparkSession
) -> None:
    settings: dict[str, Any] = {"features": ["x"], "batch_size": 20, "epochs": 1}
    text = r"CONFIG_INVALID: metric 'largest' \(Largest\) cannot be added up over the ranks"
    with pytest.raises(ConfigError, match=text):
        fit(measured(largest), train=table, ranks=2, spark=spark, **settings)
