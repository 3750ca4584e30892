"""Networks by name on two ranks: they learn, and their figures are those of one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import log_loss, roc_auc_score

from sparkmine.lake import Lake, Snapshot
from sparkmine.train import CNN, RNN, Autoencoder, fit


def written(frame: DataFrame, folder: Path) -> Snapshot:
    """A table of two files, of which `part` = 0 is for training."""
    table = Lake(folder, frame.sparkSession).table("rows")
    table.write(frame.repartition(2, "id"), partition_by=["part"])
    return table.snapshot()


@pytest.mark.slow
def test_a_cnn_learns_several_labels(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (1000, 2))
    images = rng.normal(scale=0.3, size=(1000, 8, 8))
    for image, (row, column) in zip(images, labels, strict=True):
        image[rng.integers(8), :] += row  # a bar across, somewhere
        image[:, rng.integers(8)] += column
    rows = [
        (number, number % 5 // 4, image.ravel().tolist(), int(row), int(column))
        for number, (image, (row, column)) in enumerate(zip(images, labels, strict=True))
    ]
    frame = spark.createDataFrame(
        rows, "id int, part int, image array<float>, across int, down int"
    )
    table = written(frame, tmp_path)
    trained = fit(
        CNN(
            shape=(8, 8, 1),
            filters=[8, 16],
            hidden=[32],
            batch_normalisation=True,
            task="multilabel",
        ),
        train=table.where("part = 0"),
        validation=table.where("part = 1"),
        features=["image"],
        label=["across", "down"],
        ranks=2,
        epochs=10,
        batch_size=20,
        learning_rate=0.01,
        spark=spark,
    )
    held = np.arange(1000) % 5 == 4
    scores = trained.predict(images[held].reshape(-1, 64).astype(np.float32)).astype(np.float64)
    last = trained.metrics
    assert last["val_auc"] == pytest.approx(roc_auc_score(labels[held], scores), abs=1e-9)
    assert last["val_loss"] == pytest.approx(
        np.mean([log_loss(labels[held][:, n], scores[:, n]) for n in range(2)]), abs=1e-5
    )
    assert last["val_auc"] > 0.9


@pytest.mark.slow
def test_an_rnn_learns_from_sequences_of_any_length(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [rng.integers(0, 9, rng.integers(1, 7)).tolist() for _ in range(1500)]
    labels = np.array([int(one[-1] >= 5) for one in words])  # what padding would hide
    rows = [
        (number, number % 5 // 4, one, int(label), float(number % 3))
        for number, (one, label) in enumerate(zip(words, labels, strict=True))
    ]
    frame = spark.createDataFrame(rows, "id int, part int, words array<int>, y int, weight double")
    table = written(frame, tmp_path)
    trained = fit(
        RNN(cell="gru", units=[12], max_length=6, cardinalities={"words": 9}),
        train=table.where("part = 0"),
        validation=table.where("part = 1"),
        features=["words"],
        weight="weight",
        ranks=2,
        epochs=6,
        batch_size=20,
        learning_rate=0.02,
        spark=spark,
    )
    assert trained.metrics["val_auc"] > 0.95
    held = table.where("part = 1").dataframe(spark)
    arrow = held.toArrow()
    scores = trained.predict(trained.layout.matrix(arrow))[:, 0].astype(np.float64)
    expected = arrow.column("y").to_numpy()
    assert trained.metrics["val_auc"] == pytest.approx(roc_auc_score(expected, scores), abs=1e-9)
    assert trained.metrics["val_loss"] == pytest.approx(log_loss(expected, scores), abs=1e-5)
    # Scored in one worker, that only one imports TensorFlow; a null array has no answer.
    holed = held.selectExpr("id", "if(id = 4, null, words) words").coalesce(1)
    found = trained.transform(holed).toPandas().set_index("id").prediction
    assert found.index[found.isna()].tolist() == [4]
    ids = arrow.column("id").to_numpy()
    np.testing.assert_allclose(found[ids[ids != 4]], scores[ids != 4], atol=1e-5)


@pytest.mark.slow
def test_an_autoencoder_needs_no_label(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(600, 1)) @ rng.normal(size=(1, 4))).astype(np.float32)
    rows = [(number, number % 5 // 4, point.tolist()) for number, point in enumerate(points)]
    table = written(spark.createDataFrame(rows, "id int, part int, v array<float>"), tmp_path)
    trained = fit(
        Autoencoder(hidden=[6, 1], activation="tanh"),
        train=table.where("part = 0"),
        validation=table.where("part = 1"),
        features=["v"],
        ranks=2,
        epochs=2,
        batch_size=20,
        spark=spark,
    )
    held = points[np.arange(600) % 5 == 4]
    errors = ((trained.predict(held) - held) ** 2).mean(axis=1)
    assert trained.metrics["val_mse"] == pytest.approx(float(errors.mean()), rel=1e-5)
