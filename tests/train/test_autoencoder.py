"""Reconstruction errors against PCA's and by hand; planted outliers are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from sparkmine.errors import ConfigError
from sparkmine.train import Autoencoder, TrainedModel

Fit = Callable[..., TrainedModel]


@pytest.fixture(scope="module")
def sheet(spark: SparkSession) -> DataFrame:
    """400 points near a plane in six dimensions, and 8 away from it: [id, a, b[5], outlier]."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6))
    points = plane + rng.normal(scale=0.1, size=plane.shape)
    points[::50] += rng.choice([-1.5, 1.5], size=(8, 6))
    rows = [
        (number, float(point[0]), point[1:].tolist(), number % 50 == 0)
        for number, point in enumerate(points)
    ]
    return spark.createDataFrame(
        rows, "id int, a double, b array<double>, outlier boolean"
    ).coalesce(1)


@pytest.mark.slow
def test_it_finds_what_pca_finds(sheet: DataFrame, fit_here: Fit) -> None:
    trained = fit_here(
        Autoencoder(hidden=[2]),
        sheet,
        validation=sheet,
        features=["a", "b"],
        epochs=60,
        batch_size=50,
        learning_rate=0.02,
    )
    assert (trained.task, trained.classes, trained.layout.labels) == ("reconstruction", None, ())
    assert trained.dense_file is not None
    scored = trained.transform(sheet).toPandas()
    matrix = np.column_stack([scored.a, np.stack(scored.b)]).astype(np.float32)
    # By hand: the two layers are two matrices.
    encode, shift, decode, offset = trained.network().get_weights()
    rebuilt = (matrix.astype(float) @ encode + shift) @ decode + offset
    by_hand = ((rebuilt - matrix) ** 2).mean(axis=1)
    np.testing.assert_allclose(scored.prediction, by_hand, rtol=1e-4, atol=1e-6)
    assert trained.metrics["val_mse"] == pytest.approx(by_hand.mean(), rel=1e-5)
    assert trained.metrics["val_loss"] == pytest.approx(by_hand.mean(), rel=1e-5)
    assert trained.history[-1]["loss"] < 0.2 * trained.history[0]["loss"]
    # PCA has the least error that any two linear layers can have.
    pca = PCA(2).fit(matrix)
    least = ((pca.inverse_transform(pca.transform(matrix)) - matrix) ** 2).mean()
    assert least < by_hand.mean() < 1.2 * least
    assert roc_auc_score(scored.outlier, scored.prediction) > 0.99


def test_it_takes_no_label(sheet: DataFrame, fit_here: Fit) -> None:
    with pytest.raises(ConfigError, match="an autoencoder learns without"):
        fit_here(Autoencoder(), sheet, features=["a"], label="outlier")
    with pytest.raises(ConfigError, match="class_weight is for one label"):
        fit_here(Autoencoder(), sheet, features=["a"], class_weight="balanced", batch_size=50)
