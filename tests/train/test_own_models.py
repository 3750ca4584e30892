"""Models that a user's function returns: which are refused, and what becomes of their metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import TrainedModel


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    """201 rows [id, x, y] in two files: y is 1 for most rows whose x is large."""
    written = Lake(tmp_path_factory.mktemp("own"), spark).table("rows")
    rows = spark.range(201).selectExpr(
        "id", "id % 17 / 17.0D AS x", "int((id % 17 + id % 5) > 11) AS y"
    )
    written.write(rows.repartition(2, "id"))
    return written.snapshot()


def squaring(function: Any) -> Callable[[int], Any]:
    def build(width: int) -> Any:
        import keras

        inner = keras.Sequential(
            [keras.Input((width,)), keras.layers.Lambda(function, (1,), name="squared")]
        )
        return keras.Sequential([keras.Input((width,)), inner, keras.layers.Dense(1)])

    return build


def test_a_lambda_that_scoring_could_not_load_is_refused_before_training(
    fit_here: Callable[..., TrainedModel], table: Snapshot
) -> None:
    import keras

    settings: dict[str, Any] = {"features": ["x"], "batch_size": 100, "epochs": 1}
    events: list[dict[str, Any]] = []
    for function in (lambda x: x * x, squaring):
        with pytest.raises(ConfigError, match="layer 'squared' is a Lambda whose function"):
            fit_here(squaring(function), table, progress=events.append, **settings)
    assert not events
    trained = fit_here(squaring(keras.ops.square), table, **settings)
    kernel, bias = trained.network().get_weights()
    x = np.array([[0.5], [2.0]], np.float32)
    np.testing.assert_allclose(trained.predict(x), x**2 * kernel + bias, atol=1e-6)
