"""The penalties of an MLP's weights, and how rows that only Spark can read come to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine.lake import Lake
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.train import MLP, TrainedModel
from sparkmine.train.layout import Feature, Layout

ROWS, SEED, RATE, EPOCHS = 40, 5, 0.1, 3


@pytest.mark.parametrize(("l1", "l2"), [(0.02, 0.0), (0.0, 0.1), (0.02, 0.1)])
def test_penalties_equal_gradient_descent_by_hand(
    fit_here: Callable[..., TrainedModel], spark: SparkSession, l1: float, l2: float
) -> None:
    """Every epoch is one step over all rows."""
    import keras

    from sparkmine.train.training import derived_seed

    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)).astype(np.float32)
    y = (x[:, :1] - x[:, 1:2] * x[:, 2:]).astype(np.float32)
    rows = [(one.tolist(), float(target)) for one, target in zip(x, y[:, 0], strict=True)]
    frame = spark.createDataFrame(rows, "v array<float>, y float").coalesce(1)
    network = MLP(hidden=[4], activation="tanh", l1=l1, l2=l2, task="regression")
    settings: dict[str, Any] = {"features": ["v"], "batch_size": ROWS, "epochs": EPOCHS}
    trained = fit_here(network, frame, optimizer="sgd", learning_rate=RATE, seed=SEED, **settings)

    keras.utils.set_random_seed(derived_seed(SEED, 0))
    begun = network.build(Layout(columns=(Feature("v", length=3),), labels=("y",)))
    first, first_bias, last, last_bias = (one.astype(np.float64) for one in begun.get_weights())
    losses = []
    for _ in range(EPOCHS):
        hidden = np.tanh(x @ first + first_bias)
        error = hidden @ last + last_bias - y
        penalty = l1 * np.abs(first).sum() + l2 * (first**2).sum()
        losses.append(float((error**2).mean() + penalty))
        back = 2 * error / ROWS
        inner = back @ last.T * (1 - hidden**2)
        last, last_bias = last - RATE * hidden.T @ back, last_bias - RATE * back.sum(axis=0)
        slope = x.T @ inner + l1 * np.sign(first) + 2 * l2 * first
        first, first_bias = first - RATE * slope, first_bias - RATE * inner.sum(axis=0)
    assert [one["loss"] for one in trained.history] == pytest.approx(losses, rel=1e-5)
    expected = [first, first_bias, last, last_bias]
    for found, wanted in zip(trained.network().get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_deleted_rows_are_not_trained_on(
    fit_here: Callable[..., TrainedModel],
    spark: SparkSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A snapshot with deletion vectors goes through a scratch table, which is removed."""
    table = Lake(tmp_path / "lake", spark).table("rows")
    table.write(spark.sql("select float(id) AS x, float(id) AS y from range(50)").coalesce(1))
    path = f"delta.`{table.path}`"
    spark.sql(f"alter table {path} set tblproperties ('delta.enableDeletionVectors' = true)")
    spark.sql(f"delete from {path} where x >= 10")
    snapshot = table.snapshot()
    with pytest.raises(DirectScanRefused, match="deletion"):
        Scan.of(snapshot, ["x", "y"])

    caplog.set_level("INFO")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    while_fitting: list[int] = []
    trained = fit_here(
        MLP(hidden=[], task="regression"),
        snapshot,
        features=["x"],
        batch_size=10,
        epochs=1,
        optimizer="sgd",
        learning_rate=0.0001,
        scratch=scratch,
        progress=lambda event: while_fitting.append(len(list(scratch.iterdir()))),
    )
    assert trained.data["version"] == snapshot.version and trained.data["rows"] == 10
    kernel, bias = trained.network().get_weights()
    # One step over the rows 0 to 9, whose squares have the mean 28.5: k - 2 r (k - 1) 28.5.
    begun = (kernel.item() - 0.0057) / (1 - 0.0057)
    assert trained.history[0]["loss"] == pytest.approx((begun - 1) ** 2 * 28.5, rel=1e-3)
    assert bias.item() == pytest.approx(-0.0002 * (begun - 1) * 4.5, rel=1e-3)
    assert while_fitting and set(while_fitting) == {1}
    assert list(scratch.iterdir()) == []
    assert f"to the scratch table {scratch}" in caplog.text
    assert f"removed the scratch table {scratch}" in caplog.text
