"""Two Horovod ranks in a barrier stage over a Delta table, from end to end."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from sparkmine.errors import ConfigError, ModelError, RankFailedError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import MLP, TrainedModel, fit

Survivors = Callable[[Iterable[int], float], list[int]]
END_SECONDS = 5
NETWORK = MLP(hidden=[16], dropout=0.1, batch_normalisation=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    """2,400 rows of [x, v[2], period, y], separable by x + v[0] v[1] > 0 but for little noise."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(2400, 3))
    noisy = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + rng.normal(scale=0.1, size=2400)
    rows = [
        (number, float(x), [float(a), float(b)], int(y > 0))
        for number, ((x, a, b), y) in enumerate(zip(numbers, noisy, strict=True))
    ]
    frame = spark.createDataFrame(rows, "id int, x double, v array<double>, y int")
    written = Lake(tmp_path_factory.mktemp("fit"), spark).table("rows")
    written.write(frame.withColumn("period", f.col("id") % 4), partition_by=["period"])
    return written.snapshot()


@dataclass(frozen=True)
class Fitted:
    model: TrainedModel
    events: list[dict[str, Any]]
    settings: dict[str, Any]


@pytest.fixture(scope="module")
def fitted(
    table: Snapshot, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Fitted:
    events: list[dict[str, Any]] = []
    settings: dict[str, Any] = {
        "train": table.where("period < 3"),
        "validation": table.where("period = 3"),
        "features": ["x", "v"],
        "ranks": 2,
        "epochs": 4,
        "batch_size": 32,
        "learning_rate": 0.02,
        "seed": 7,
        "checkpoint": tmp_path_factory.mktemp("checkpoint"),
        "spark": spark,
        "progress": events.append,
    }
    return Fitted(fit(NETWORK, **settings), events, settings)


def matrix_of(rows: Any) -> np.ndarray[Any, Any]:
    return np.array([[row.x, *row.v] for row in rows], np.float32)


def test_it_learns(fitted: Fitted) -> None:
    history = fitted.model.history
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert fitted.model.metrics["val_auc"] > 0.9
    assert fitted.model.data["rows"] == 1800
    assert fitted.model.data["version"] == 0


def test_progress_came_while_it_trained(fitted: Fitted) -> None:
    ready = [event for event in fitted.events if event["event"] == "ready"]
    assert sorted(event["rank"] for event in ready) == [0, 1]
    assert {event["ranks"] for event in ready} == {2}
    epochs = [event for event in fitted.events if event["event"] == "epoch"]
    assert [event["loss"] for event in epochs] == [one["loss"] for one in fitted.model.history]
    step = next(event for event in fitted.events if event["event"] == "step")
    assert (step["rank"], step["steps"], step["epochs"]) == (0, 29, 4)


def test_validation_equals_that_of_one_process(
    fitted: Fitted, table: Snapshot, spark: SparkSession
) -> None:
    rows = table.where("period = 3").dataframe(spark).collect()
    labels = np.array([row.y for row in rows])
    scores = fitted.model.predict(matrix_of(rows))[:, 0].astype(np.float64)
    last = fitted.model.metrics
    assert last["val_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    assert last["val_accuracy"] == pytest.approx(accuracy_score(labels, scores > 0.5), abs=1e-9)
    assert last["val_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-5)


def test_transform_equals_predict(fitted: Fitted, table: Snapshot, spark: SparkSession) -> None:
    frame = table.where("period = 3").dataframe(spark)
    holed = f.when(f.col("id") == 7, None).otherwise(f.col("x"))
    scored = fitted.model.transform(frame.withColumn("x", holed))
    assert scored.columns == [*frame.columns, "prediction"]
    rows = scored.collect()
    assert [row.id for row in rows if row.prediction is None] == [7]
    rows = [row for row in rows if row.prediction is not None]
    # The network of the fixture is scored as a dense chain; any other goes through Keras.
    # One partition, so that only one worker imports TensorFlow.
    keras_only = replace(fitted.model, dense_file=None)
    by_keras = keras_only.transform(frame.where("id != 7").coalesce(1)).collect()
    expected = fitted.model.network().predict(matrix_of(rows), verbose=0)[:, 0]
    np.testing.assert_allclose([row.prediction for row in rows], expected, atol=1e-5)
    found = {row.id: row.prediction for row in by_keras}
    np.testing.assert_allclose([found[row.id] for row in rows], expected, atol=1e-5)
    here = fitted.model.transform_arrow(frame.withColumn("x", holed).toArrow())
    assert here is not None and keras_only.transform_arrow(here) is None
    by_id = {row["id"]: row["prediction"] for row in here.to_pylist()}
    assert by_id.pop(7) is None and by_id == pytest.approx({r.id: r.prediction for r in rows})


def test_transform_checks_its_input(fitted: Fitted, spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="columns missing: x, v"):
        fitted.model.transform(spark.range(2))
    ready = spark.range(2).selectExpr("1.0 x", "array(1.0, 2.0) v", "0.5 prediction")
    with pytest.raises(ConfigError, match="already has prediction"):
        fitted.model.transform(ready)


def test_save_and_load(fitted: Fitted, tmp_path: Path) -> None:
    fitted.model.save(tmp_path / "deep")
    loaded = TrainedModel.load(tmp_path / "deep")
    assert loaded == fitted.model
    sample = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict(sample), fitted.model.predict(sample))
    (tmp_path / "deep" / "model.keras").write_bytes(b"something else")
    with pytest.raises(ModelError, match="was changed"):
        TrainedModel.load(tmp_path / "deep")


def test_a_killed_rank_ends_all(fitted: Fitted, survivors: Survivors) -> None:
    processes: dict[int, int] = {}
    killed = False

    def kill_in_mid_training(event: dict[str, Any]) -> None:
        nonlocal killed
        if event["event"] == "started":
            processes[event["rank"]] = event["pid"]
        if event["event"] == "step" and not killed:
            killed = True
            os.kill(processes[1], signal.SIGKILL)

    settings = {
        **fitted.settings,
        "epochs": 5000,
        "checkpoint": None,
        "progress": kill_in_mid_training,
    }
    with pytest.raises(RankFailedError, match=r"rank 1 of 2 .* killed by SIGKILL"):
        fit(NETWORK, **settings)
    assert sorted(processes) == [0, 1]
    assert not survivors(processes.values(), END_SECONDS)


@pytest.mark.slow
def test_it_resumes_after_the_last_whole_epoch(fitted: Fitted) -> None:
    events: list[dict[str, Any]] = []
    more = fit(NETWORK, **{**fitted.settings, "epochs": 5, "progress": events.append})
    assert more.history[:4] == fitted.model.history
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [5]


@pytest.mark.slow
def test_a_resumed_fit_ends_like_an_undisturbed_one(
    fitted: Fitted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after the checkpoint before a damaged one, of which the driver hears."""
    caplog.set_level("INFO")
    settings = {**fitted.settings, "progress": None}
    fit(NETWORK, **{**settings, "epochs": 2, "checkpoint": tmp_path})
    assert not [one for one in caplog.records if "checkpoint" in one.message]
    arrays = tmp_path / "epoch-00002" / "state.npz"
    arrays.write_bytes(arrays.read_bytes()[:-20])
    resumed = fit(NETWORK, **{**settings, "checkpoint": tmp_path})
    assert resumed.weights_hash == fitted.model.weights_hash
    said = [
        (one.levelname, one.message)
        for one in caplog.records
        if one.name == "sparkmine.train.watching"
    ]
    damaged = f"checkpoint {arrays.parent} is damaged (its arrays were changed)"
    assert said == [
        ("WARNING", f"{damaged}; trying the one before"),
        ("INFO", f"going on after 1 epochs of {tmp_path}"),
    ]


@pytest.mark.slow
def test_a_fit_resumed_within_an_epoch(
    table: Snapshot, spark: SparkSession, tmp_path: Path
) -> None:
    """On as many ranks it ends like the undisturbed one; on others it reads the rows left."""
    settings: dict[str, Any] = {
        "train": table.where("period < 3"),
        "features": ["x", "v"],
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 0.02,
        "schedule": "cosine",
        "checkpoint": tmp_path / "whole",
        "checkpoint_steps": 10,
        "checkpoint_keep": 100,
        "spark": spark,
    }
    undisturbed = fit(NETWORK, **settings, ranks=2)
    assert len(list((tmp_path / "whole").iterdir())) == 3 * 3  # after 10, 20 and all 29 steps
    cut = "epoch-00001-step-000000020"
    for ranks in (2, 1):
        folder = tmp_path / f"cut-{ranks}"
        folder.mkdir()
        for name in ("epoch-00001", cut):
            shutil.copytree(tmp_path / "whole" / name, folder / name)
        events: list[dict[str, Any]] = []
        more = {**settings, "checkpoint": folder, "progress": events.append}
        resumed = fit(NETWORK, **more, ranks=ranks)
        assert [record["epoch"] for record in resumed.history] == [1, 2, 3]
        assert [event["epoch"] for event in events if event["event"] == "epoch"] == [2, 3]
        if ranks == 2:
            assert resumed.weights_hash == undisturbed.weights_hash
            losses = [record["loss"] for record in undisturbed.history]
            assert [one["loss"] for one in resumed.history] == pytest.approx(losses, rel=1e-6)


def classifier(width: int) -> Any:
    import keras

    return keras.Sequential(
        [keras.Input((width,)), keras.layers.Dense(24, "tanh"), keras.layers.Dense(3, "softmax")]
    )


@pytest.mark.slow
def test_a_function_from_a_dataframe_with_classes(table: Snapshot, spark: SparkSession) -> None:
    frame = table.dataframe(spark).withColumn(
        "y", f.when(f.col("x") < -0.5, 0).when(f.col("x") < 0.5, 1).otherwise(2)
    )
    trained = fit(
        classifier,
        train=frame,
        validation=frame,
        features=["x"],
        ranks=1,
        epochs=10,
        batch_size=32,
        optimizer="sgd",
        learning_rate=0.5,
        spark=spark,
    )
    assert (trained.task, trained.classes) == ("multiclass", 3)
    assert trained.metrics["val_accuracy"] > 0.95
    rows = trained.transform(frame).collect()
    assert np.mean([row.prediction == row.y for row in rows]) == pytest.approx(
        trained.metrics["val_accuracy"]
    )
    assert all(row.prediction == int(np.argmax(row.probability)) for row in rows)


@pytest.mark.slow
def test_an_interrupted_driver_leaves_no_process(fitted: Fitted, survivors: Survivors) -> None:
    processes: list[int] = []

    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            processes.append(event["pid"])
        if event["event"] == "step":
            raise KeyboardInterrupt

    settings = {**fitted.settings, "epochs": 5000, "checkpoint": None, "progress": interrupt}
    with pytest.raises(KeyboardInterrupt):
        fit(NETWORK, **settings)
    assert len(processes) == 2
    assert not survivors(processes, END_SECONDS)
