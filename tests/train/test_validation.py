"""How many validation rows go through a network at once, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import log_loss, roc_auc_score

from sparkmine.train import CNN, TrainedModel, validation


def test_wide_layers_get_few_rows(
    fit_here: Callable[..., TrainedModel], spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 x 64 x 32 floats are half a megabyte a row."""
    taken: list[int] = []

    def batches(*arguments: Any, **settings: Any) -> Any:
        for features, targets in validation_batches(*arguments, **settings):
            taken.append(len(features))
            yield features, targets

    validation_batches = validation.validation_batches
    monkeypatch.setattr(validation, "validation_batches", batches)
    rng = np.random.default_rng(0)
    pictures = rng.random((70, 64 * 64)).astype(np.float32)
    labels = rng.integers(0, 2, len(pictures))
    rows = [(picture.tolist(), int(y)) for picture, y in zip(pictures, labels, strict=True)]
    frame = spark.createDataFrame(rows, "picture array<float>, y int").coalesce(1)
    trained = fit_here(
        CNN(shape=(64, 64, 1), filters=[32], pool=8, hidden=[]),
        frame,
        validation=frame,
        features=["picture"],
        batch_size=64,
        epochs=1,
    )
    assert taken == [32, 32, 6]
    scores = trained.network().predict(pictures, verbose=0)[:, 0].astype(np.float64)
    assert trained.metrics["val_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-5)
    assert trained.metrics["val_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
