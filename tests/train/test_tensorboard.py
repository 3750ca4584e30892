"""The files for TensorBoard, read by TensorBoard itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import log_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from sparkmine.errors import ConfigError
from sparkmine.train import GAN, MLP, EarlyStopping, TrainedModel, fit


def curve(run: Path, tag: str) -> list[tuple[int, float]]:
    """The points of a curve, whichever way TensorBoard holds it."""
    read = EventAccumulator(str(run))
    read.Reload()
    if tag in read.Tags()["scalars"]:
        return [(point.step, point.value) for point in read.Scalars(tag)]
    return [(p.step, float(make_ndarray(p.tensor_proto))) for p in read.Tensors(tag)]


def test_curves(fit_here: Callable[..., TrainedModel], spark: SparkSession, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=200)
    rows = [(float(x), int(x > 0)) for x in values]
    frame = spark.createDataFrame(rows, "x double, y int")
    events: list[dict[str, Any]] = []
    trained = fit_here(
        MLP(hidden=[4]),
        frame,
        validation=frame,
        features=["x"],
        batch_size=20,
        epochs=3,
        schedule="linear",
        tensorboard=tmp_path / "board",
        progress=events.append,
    )
    of_training, of_validation = tmp_path / "board" / "train", tmp_path / "board" / "validation"
    for run, tag, name in [
        (of_training, "epoch_loss", "loss"),
        (of_training, "epoch_learning_rate", "learning_rate"),
        (of_validation, "epoch_loss", "val_loss"),
        (of_validation, "epoch_auc", "val_auc"),
    ]:
        expected = [(record["epoch"], record[name]) for record in trained.history]
        found = curve(run, tag)
        assert [step for step, _ in found] == [1, 2, 3]
        assert [value for _, value in found] == pytest.approx([v for _, v in expected], rel=1e-6)
    steps = [(e["epoch"] - 1) * 10 + e["step"] for e in events if e["event"] == "step"]
    assert [step for step, _ in curve(of_training, "step_loss")] == steps


@pytest.mark.slow
def test_two_ranks_stop_early_and_are_shown(spark: SparkSession, tmp_path: Path) -> None:
    """What is learnt of noise is wrong elsewhere, so the first epochs are the best."""
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(400, 4)).astype(np.float32), rng.integers(0, 2, 400)
    rows = [(x.tolist(), int(y)) for x, y in zip(values, labels, strict=True)]
    trained = fit(
        MLP(hidden=[64]),
        train=spark.createDataFrame(rows[:200], "v array<float>, y int"),
        validation=spark.createDataFrame(rows[200:], "v array<float>, y int"),
        features=["v"],
        ranks=2,
        epochs=60,
        batch_size=10,
        learning_rate=0.03,
        seed=1,
        early_stopping=EarlyStopping(patience=3),
        tensorboard=tmp_path / "board",
        spark=spark,
    )
    losses = [record["val_loss"] for record in trained.history]
    assert trained.epoch == int(np.argmin(losses)) + 1 == len(losses) - 3 < 57
    scores = trained.predict(values[200:])[:, 0].astype(np.float64)
    assert log_loss(labels[200:], scores) == pytest.approx(min(losses), abs=1e-5)
    shown = curve(tmp_path / "board" / "validation", "epoch_loss")
    assert [step for step, _ in shown] == list(range(1, len(losses) + 1))
    assert [value for _, value in shown] == pytest.approx(losses, rel=1e-6)


def test_pictures(
    fit_here: Callable[..., TrainedModel], spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.createDataFrame([([0.0] * 6,)] * 4, "image array<float>")
    fit_here(
        GAN(hidden=[4], shape=(2, 3, 1)),
        frame,
        features=["image"],
        batch_size=2,
        epochs=1,
        tensorboard=tmp_path,
    )
    read = EventAccumulator(str(tmp_path / "train"))
    read.Reload()
    [picture] = read.Images("samples")
    assert (picture.step, picture.width, picture.height) == (1, 12, 8)


def test_a_folder_that_cannot_be_written(
    fit_here: Callable[..., TrainedModel], spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    frame = spark.createDataFrame([(0.0, 1)], "x double, y int")
    with pytest.raises(ConfigError, match=r"tensorboard=.*cannot write there"):
        fit_here(
            MLP(), frame, features=["x"], batch_size=1, tensorboard=tmp_path / "file" / "board"
        )
