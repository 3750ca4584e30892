"""Two ranks that get the halves of a batch are one process that gets the whole, by plain Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine.lake import Lake
from sparkmine.train import fit
from sparkmine.train.dense import DenseChain

STEPS, HALF, WIDTH = 50, 16, 5
_rng = np.random.default_rng(0)
X = _rng.normal(size=(STEPS * 2 * HALF, WIDTH)).astype(np.float32)
Y = (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)


def layers() -> list[Any]:
    """Dense layers that begin alike, whoever makes them."""
    import keras

    def dense(number: int, units: int, activation: str) -> Any:
        begin = keras.initializers.RandomNormal(stddev=0.4, seed=number)
        return keras.layers.Dense(units, activation, kernel_initializer=begin)

    return [keras.Input((WIDTH,)), dense(1, 12, "tanh"), dense(2, 1, "sigmoid")]


def halves(width: int) -> Any:
    """A model that takes, instead of what it is given, its rank's half of the step's batch."""
    import horovod.tensorflow as hvd
    import keras
    import tensorflow as tf

    model = keras.Sequential(layers())
    true_step = model.train_step

    def half_step(data: Any) -> Any:
        step = tf.cast(model.optimizer.iterations, tf.int32)
        rows = step * 2 * HALF + hvd.rank() * HALF + tf.range(HALF)
        return true_step((tf.gather(X, rows), tf.gather(Y, rows)))

    model.train_step = half_step
    return model


@pytest.mark.parametrize(
    ("optimizer", "rate", "clip"),
    [
        ("adam", 0.02, {}),
        pytest.param("sgd", 0.5, {}, marks=pytest.mark.slow),
        # Less than the norm of most gradients; the mean of clipped ones would be another one.
        pytest.param("sgd", 0.5, {"clipnorm": 0.05}, marks=pytest.mark.slow),
    ],
)
def test_fifty_steps(
    spark: SparkSession, tmp_path: Path, optimizer: str, rate: float, clip: dict[str, float]
) -> None:
    table = Lake(tmp_path, spark).table("rows")
    unread = [0.0] * WIDTH
    table.write(spark.createDataFrame([(unread, 0)] * len(X), "v array<double>, y int"))
    trained = fit(
        halves,
        train=table.snapshot(),
        features=["v"],
        ranks=2,
        epochs=1,
        batch_size=HALF,
        optimizer={"name": optimizer, **clip},
        learning_rate=rate,
        spark=spark,
    )
    assert trained.dense_file is not None
    found = [
        array for step in DenseChain.from_bytes(trained.dense_file).steps for array in step.arrays
    ]

    import keras

    alone = keras.Sequential(layers())
    before = alone.get_weights()
    kind = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[optimizer]
    alone.compile(kind(rate, **clip), "binary_crossentropy", jit_compile=False)
    for step in range(STEPS):
        batch = slice(step * 2 * HALF, (step + 1) * 2 * HALF)
        alone.train_on_batch(X[batch], Y[batch])
    moved = max(np.abs(one - two).max() for one, two in zip(found, before, strict=True))
    assert moved > (0.1 if clip else 0.3)
    for one, two in zip(found, alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
