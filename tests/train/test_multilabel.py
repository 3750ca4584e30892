"""Several labels of 0 and 1 a row, against NumPy and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import accuracy_score, roc_auc_score

from sparkmine.errors import ConfigError, DataError
from sparkmine.train import MLP, TrainedModel

Fit = Callable[..., TrainedModel]
NETWORK = MLP(hidden=[8], task="multilabel")
LABELS = ["west", "north"]


@pytest.fixture(scope="module")
def points(spark: SparkSession) -> DataFrame:
    """300 points; `west` is x < 0, `north` is y > 0.3, but for some noise."""
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(300, 2))
    noisy = xy + rng.normal(scale=0.2, size=xy.shape)
    rows = [
        (float(x), float(y), int(u < 0), int(v > 0.3))
        for (x, y), (u, v) in zip(xy, noisy, strict=True)
    ]
    return spark.createDataFrame(rows, "x double, y double, west int, north int").coalesce(1)


def test_loss_figures_and_predictions(points: DataFrame, fit_here: Fit) -> None:
    trained = fit_here(
        NETWORK,
        points,
        validation=points,
        features=["x", "y"],
        label=LABELS,
        epochs=15,
        batch_size=30,
        learning_rate=0.03,
    )
    assert (trained.task, trained.layout.labels) == ("multilabel", ("west", "north"))
    table = points.toPandas()
    labels = table[LABELS].to_numpy()
    scores = trained.predict(table[["x", "y"]].to_numpy(np.float32)).astype(np.float64)
    losses = -np.log(np.where(labels == 1, scores, 1 - scores))
    last = trained.metrics
    assert last["val_loss"] == pytest.approx(losses.mean(), abs=1e-6)
    assert last["val_auc"] == pytest.approx(roc_auc_score(labels, scores, average="macro"))
    for number, name in enumerate(LABELS):
        one, score = labels[:, number], scores[:, number]
        assert last[f"val_auc_{name}"] == pytest.approx(roc_auc_score(one, score))
        assert last[f"val_accuracy_{name}"] == pytest.approx(accuracy_score(one, score > 0.5))
        assert last[f"val_auc_{name}"] > 0.95
    scored = trained.transform(points.limit(20))
    assert scored.schema["prediction"].dataType.simpleString() == "array<double>"
    found = scored.toPandas()
    inputs = found[["x", "y"]].to_numpy(np.float32)
    np.testing.assert_allclose(np.stack(found.prediction), trained.predict(inputs), atol=1e-6)
    holed = trained.transform(points.selectExpr("if(x < 0, null, x) x", "y").limit(20)).toPandas()
    assert (holed.prediction.isna() == holed.x.isna()).all()


def test_wrong_labels_are_named(points: DataFrame, fit_here: Fit) -> None:
    for options, error, text in [
        ({"label": []}, ConfigError, "label is empty"),
        ({"label": ["west", "west"]}, ConfigError, "labels named twice: west"),
        ({"label": LABELS, "class_weight": "balanced"}, ConfigError, "class_weight is for one"),
        ({"label": ["west", "y"], "features": ["x"]}, DataError, "y: labels must be whole numbers"),
    ]:
        settings = {"features": ["x", "y"], "batch_size": 30, **options}
        with pytest.raises(error, match=text):
            fit_here(NETWORK, points, **settings)
    with pytest.raises(ConfigError, match="2 labels, but the task is binary"):
        fit_here(MLP(), points, features=["x", "y"], label=LABELS)
