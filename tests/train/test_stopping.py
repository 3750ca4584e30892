"""Early stopping: against Keras's own callback, and on a fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import MLP, EarlyStopping, TrainedModel


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_auc"])
@pytest.mark.parametrize("min_delta", [0.0, 0.05])
def test_it_ends_where_keras_does(monitor: str, min_delta: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        values = rng.random(20).tolist()
        stopping = EarlyStopping(monitor=monitor, patience=3, min_delta=min_delta)
        reference = keras.callbacks.EarlyStopping(
            monitor, patience=3, min_delta=min_delta, mode="min" if "loss" in monitor else "max"
        )
        reference.set_model(keras.Sequential())
        reference.on_train_begin()
        reference.model.stop_training = False
        history: list[dict[str, Any]] = []
        for epoch, value in enumerate(values):
            history.append({monitor: value})
            reference.on_epoch_end(epoch, {monitor: value})
            assert stopping.over(history) == reference.model.stop_training
            if stopping.over(history):
                break
        assert stopping.best(history) == reference.best_epoch + 1


def test_a_figure_that_is_not_there_is_never_better() -> None:
    stopping = EarlyStopping(monitor="val_auc", patience=2)
    assert stopping.best([{"val_auc": None}, {"val_auc": 0.5}, {"val_auc": None}]) == 2
    assert stopping.over([{"val_auc": None}, {"val_auc": None}])


@pytest.fixture(scope="module")
def noise(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """200 rows whose label has nothing to do with x: what is learned of it is wrong elsewhere."""
    rng = np.random.default_rng(0)
    rows = [
        (number, rng.normal(size=4).tolist(), int(y))
        for number, y in enumerate(rng.integers(0, 2, 200))
    ]
    table = Lake(tmp_path_factory.mktemp("stopping"), spark).table("noise")
    table.write(spark.createDataFrame(rows, "id int, v array<double>, y int").coalesce(1))
    return table.snapshot()


def test_the_best_weights_come_back_and_a_fit_goes_on_from_a_checkpoint(
    fit_here: Callable[..., TrainedModel], noise: Snapshot, tmp_path: Path
) -> None:
    def fit(**settings: Any) -> TrainedModel:
        return fit_here(
            MLP(hidden=[64]),
            noise.where("id < 100"),
            validation=noise.where("id >= 100"),
            features=["v"],
            learning_rate=0.03,
            batch_size=20,
            seed=1,
            **settings,
        )

    patient = EarlyStopping(patience=4)
    stopped = fit(epochs=40, early_stopping=patient, checkpoint=tmp_path / "whole")
    losses = [record["val_loss"] for record in stopped.history]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 4 < 40
    assert stopped.epoch == best
    assert stopped.metrics["val_loss"] == min(losses)
    until_best = fit(epochs=best)
    sample = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_array_equal(stopped.predict(sample), until_best.predict(sample))

    # Cut two epochs after the best one, and taken up again: the best weights were kept.
    fit(epochs=best + 2, early_stopping=patient, checkpoint=tmp_path / "cut")
    resumed = fit(epochs=40, early_stopping=patient, checkpoint=tmp_path / "cut")
    assert resumed.history[best + 2 :] != []
    assert [r["val_loss"] for r in resumed.history] == losses
    assert resumed.weights_hash == stopped.weights_hash
    # A fit that has ended early is over, and with more patience it goes on.
    again = fit(epochs=40, early_stopping=patient, checkpoint=tmp_path / "cut")
    assert again.history == resumed.history
    more = fit(epochs=40, early_stopping=EarlyStopping(patience=5), checkpoint=tmp_path / "cut")
    assert more.history[:-1] == resumed.history

    last = fit(epochs=40, early_stopping=EarlyStopping(patience=4, restore_best=False))
    assert last.epoch == len(last.history) == best + 4
    assert not np.array_equal(last.predict(sample), stopped.predict(sample))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monitor": "val_rmse"}, "'val_rmse': this fit has loss; give validation="),
        ({"patience": 0}, "patience=0, min_delta=0.0: at least 1 and 0"),
    ],
)
def test_mistakes_are_named(
    fit_here: Callable[..., TrainedModel],
    noise: Snapshot,
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_here(
            MLP(), noise, features=["v"], batch_size=20, early_stopping=EarlyStopping(**settings)
        )
