"""Models that a user's function returns: which are refused, and what becomes of their metrics."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import f1_score, precision_score, r2_score, roc_auc_score

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import EarlyStopping, TrainedModel, fit
from sparkmine.train.own_metrics import check_room


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
        inner = keras.Sequential(
            [keras.Input((width,)), keras.layers.Lambda(function, (1,), name="curved")]
        )
        return keras.Sequential([keras.Input((width,)), inner, keras.layers.Dense(1)])

    return build


def test_a_lambda_that_scoring_could_not_load_is_refused_before_training(
    fit_here: Callable[..., TrainedModel], table: Snapshot
) -> None:
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
        begin = keras.initializers.Constant(2.0)
        dense = keras.layers.Dense(1, "sigmoid", kernel_initializer=begin)
        model = keras.Sequential([keras.Input((width,)), dense])
        model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", metrics=metrics())
        return model

    return build


def of_sums() -> list[Any]:
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


def compiled_by(optimizer: Callable[[], Any]) -> Callable[[int], Any]:
    def build(width: int) -> Any:
        model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, "sigmoid")])
        model.compile(optimizer(), "binary_crossentropy")
        return model

    return build


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (lambda: keras.optimizers.Adam(use_ema=True), "optimizer Adam: use_ema is not supported"),
        (
            lambda: keras.optimizers.SGD(gradient_accumulation_steps=2),
            "gradient_accumulation_steps is not supported",
        ),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
            "mixed precision is not supported",
        ),
    ],
)
def test_an_optimizer_that_breaks_resuming_is_refused(
    optimizer: Any, text: str, table: Snapshot, fit_here: Callable[..., TrainedModel]
) -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(ConfigError, match=text):
        fit_here(
            compiled_by(optimizer), table, features=["x"], batch_size=20, progress=events.append
        )
    assert not events


def test_mixed_precision_is_refused(table: Snapshot, fit_here: Callable[..., TrainedModel]) -> None:
    def build(width: int) -> Any:
        keras.config.set_dtype_policy("mixed_float16")
        try:
            return compiled_by(keras.optimizers.Adam)(width)
        finally:
            keras.config.set_dtype_policy("float32")

    with pytest.raises(ConfigError, match="mixed precision is not supported: train in float32"):
        fit_here(build, table, features=["x"], batch_size=20)


def largest() -> list[Any]:
    class Largest(keras.metrics.Metric):
        """The largest score times the number of rows: neither of these ranks' own figures adds up
        to that of all."""

        def __init__(self) -> None:
            super().__init__(name="largest")
            self.value = self.add_weight(shape=(), initializer="zeros")
            self.rows = self.add_weight(shape=(), initializer="zeros")

        def update_state(self, y: Any, score: Any, sample_weight: Any = None) -> None:
            self.value.assign(keras.ops.maximum(self.value, keras.ops.max(score)))
            self.rows.assign_add(keras.ops.cast(keras.ops.shape(score)[0], "float32"))

        def result(self) -> Any:
            return self.value * self.rows

    return ["mae", Largest()]


LARGEST = 201 / (1 + np.exp(-2 * 16 / 17))


def test_one_rank_may_have_any_metric(
    table: Snapshot, fit_here: Callable[..., TrainedModel], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "validation": table,
        "features": ["x"],
        "batch_size": 20,
        "epochs": 1,
        "checkpoint": tmp_path,
        "checkpoint_steps": 4,
    }
    alone = fit_here(measured(largest), table, **settings)
    assert alone.metrics["largest"] == pytest.approx(LARGEST, abs=1e-4)
    assert alone.metrics["val_largest"] == pytest.approx(LARGEST, abs=1e-4)
    # In an epoch that another process began, its rows were not all seen by this one.
    shutil.rmtree(tmp_path / "epoch-00001")
    resumed = fit_here(measured(largest), table, **settings)
    assert resumed.metrics["largest"] is None
    assert resumed.metrics["val_largest"] == pytest.approx(LARGEST, abs=1e-4)
    assert resumed.metrics["mae"] == pytest.approx(alone.metrics["mae"], abs=1e-6)


@pytest.mark.slow
def test_a_metric_that_cannot_be_added_up_is_one_of_validation(
    table: Snapshot, spark: SparkSession
) -> None:
    """It gets the predictions of all ranks, and early stopping may watch it."""
    trained = fit(
        measured(largest),
        train=table,
        validation=table,
        features=["x"],
        ranks=2,
        batch_size=20,
        epochs=1,
        spark=spark,
        early_stopping=EarlyStopping(monitor="val_largest"),
    )
    assert "largest" not in trained.metrics
    assert trained.metrics["val_largest"] == pytest.approx(LARGEST, abs=1e-4)
    whole = expected(table, spark)
    assert trained.metrics["val_mae"] == pytest.approx(whole["mae"], abs=1e-5)
    # Scores of equal rows may differ by a bit, and then they are no ties.
    assert trained.metrics["val_auc"] == pytest.approx(whole["area"], abs=1e-3)


def test_predictions_for_such_metrics_are_bounded() -> None:
    check_room(["largest"], 1000, 2)
    check_room([], 1 << 40, 2)
    text = "metrics largest cannot be added up .* the 67108864 validation rows x 2 targets and"
    with pytest.raises(ConfigError, match=text):
        check_room(["largest"], 1 << 26, 2)
