"""What ranks share: weights that must not drift apart, statistics, and the rows of an epoch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from sparkmine.errors import RankFailedError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import fit
from sparkmine.train.order import Order
from sparkmine.train.source import opened

ROWS = 107


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    written = Lake(tmp_path_factory.mktemp("between"), spark).table("rows")
    rows = spark.range(ROWS).selectExpr("float(id) AS x", "id % 2 AS y")
    written.write(rows.repartition(3, "x"))
    return written.snapshot()


def drifting(width: int) -> Any:
    """A model whose bias becomes a little larger on rank 1, in its third step."""
    import horovod.tensorflow as hvd
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, "sigmoid")])
    true_step = model.train_step

    def drifting_step(data: Any) -> Any:
        found = true_step(data)
        wrong = tf.equal(model.optimizer.iterations, 3) & (hvd.rank() == 1)
        model.layers[-1].bias.assign_add(tf.where(wrong, [1e-6], [0.0]))
        return found

    model.train_step = drifting_step
    return model


@pytest.mark.slow
def test_ranks_that_drift_apart_end_the_fit(table: Snapshot, spark: SparkSession) -> None:
    text = r"ArithmeticError: the weights of ranks \[1\] differ from those of rank 0"
    with pytest.raises(RankFailedError, match=text):
        fit(drifting, train=table, features=["x"], batch_size=10, epochs=2, spark=spark)


MOMENTUM = 0.8


def normalised(width: int) -> Any:
    import keras

    layers = [keras.layers.BatchNormalization(momentum=MOMENTUM), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential([keras.Input((width,)), *layers])


@pytest.mark.slow
def test_statistics_are_the_mean_of_the_ranks(table: Snapshot, spark: SparkSession) -> None:
    """Both ranks make one step an epoch, with all of their rows."""
    epochs, ranks, seed = 2, 2, 5
    settings: dict[str, Any] = {"features": ["x"], "batch_size": ROWS // ranks, "spark": spark}
    trained = fit(normalised, train=table, ranks=ranks, epochs=epochs, seed=seed, **settings)
    with opened(table, ("x",), spark) as source:
        order = Order(rows=source.rows, ranks=ranks, seed=seed)
        blocks = [np.asarray(source.scan.read(block).column("x")) for block in source.blocks]
    mean, variance = 0.0, 1.0  # as Keras begins
    of_ranks = []
    for epoch in range(epochs):
        taken = [
            np.concatenate(
                [
                    np.concatenate([blocks[number] for number in piece.blocks])[piece.take]
                    for piece in order.pieces(epoch, rank)
                ]
            ).astype(np.float64)
            for rank in range(ranks)
        ]
        of_ranks = [
            (
                MOMENTUM * mean + (1 - MOMENTUM) * rows.mean(),
                MOMENTUM * variance + (1 - MOMENTUM) * rows.var(),
            )
            for rows in taken
        ]
        mean, variance = np.mean(of_ranks, axis=0)
    layer = trained.network().layers[0]
    assert float(layer.moving_mean[0]) == pytest.approx(mean, rel=1e-5)
    assert float(layer.moving_variance[0]) == pytest.approx(variance, rel=1e-5)
    assert all(abs(of_one[1] - variance) > 1.0 for of_one in of_ranks)  # not that of one rank


def recording(folder: Path) -> Callable[[int], Any]:
    """A model that writes down the rows of every training batch, in a file for each process.

    Its output is the row's number, as long as the learning rate is too small to change it.
    """

    def build(width: int) -> Any:
        import horovod.tensorflow as hvd
        import keras
        import tensorflow as tf

        file = folder / f"rank-{hvd.rank()}-of-{hvd.size()}-{os.getpid()}"

        def note(x: Any) -> Any:
            with file.open("a") as lines:
                lines.write(" ".join(str(int(one)) for one in x[:, 0]) + "\n")
            return x

        last = keras.layers.Dense(1, kernel_initializer="ones")
        model = keras.Sequential([keras.Input((width,)), last])
        true_step = model.train_step

        def noted_step(data: Any) -> Any:
            x, y = data
            x = tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)
            return true_step((x, y))

        model.train_step = noted_step
        return model

    return build


def batches(folder: Path, ranks: int) -> list[list[list[int]]]:
    """Of every rank its batches, and of every batch its rows."""
    files = sorted(folder.glob(f"rank-*-of-{ranks}-*"))
    assert len(files) == ranks
    return [
        [[int(word) for word in line.split()] for line in file.read_text().splitlines()]
        for file in files
    ]


@pytest.mark.slow
def test_rows_that_come_in_another_order_are_read_from_the_epochs_beginning(
    fit_here: Callable[..., Any],
    spark: SparkSession,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A DataFrame is written anew for every fit: what was left of an epoch are positions."""
    seen, checkpoint = tmp_path / "seen", tmp_path / "checkpoint"
    seen.mkdir()
    rows = spark.range(ROWS).selectExpr("float(id) AS x", "id % 2 AS y")

    def fit_on(frame: DataFrame) -> list[list[int]]:
        """The batches of this fit, which is cut after 4 steps of epoch 2."""
        before = len(batches(seen, 1)[0]) if any(seen.iterdir()) else 0
        settings: dict[str, Any] = {"features": ["x"], "batch_size": 10, "epochs": 2}
        kept: dict[str, Any] = {"checkpoint_steps": 4, "checkpoint_keep": 9}
        fit_here(recording(seen), frame, **settings, checkpoint=checkpoint, **kept)
        for later in ("epoch-00001-step-000000008", "epoch-00002"):
            shutil.rmtree(checkpoint / later)
        return batches(seen, 1)[0][before:]

    first = fit_on(rows)
    assert len(first) == 2 * 11
    assert fit_on(rows) == first[11 + 4 :]
    assert "another order" not in caplog.text
    again = fit_on(rows.orderBy("x", ascending=False))
    assert sorted(row for batch in again for row in batch) == list(range(ROWS))
    assert again != first[11:]
    text = (
        "epoch-00001-step-000000004 is within an epoch, and the rows were written in another order"
    )
    assert text in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_other_ranks_read_the_rows_that_are_left(
    first: int,
    then: int,
    table: Snapshot,
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    seen, checkpoint = tmp_path / "seen", tmp_path / "checkpoint"
    seen.mkdir()

    def fit_on(ranks: int) -> tuple[float, list[list[list[int]]]]:
        """The loss of the epoch, of weights that do not move, and the batches of every rank."""
        settings: dict[str, Any] = {
            "features": ["x"],
            "batch_size": 10,
            "epochs": 1,
            "learning_rate": 1e-30,
            "checkpoint": checkpoint,
            "checkpoint_steps": 2,
            "checkpoint_keep": 9,
        }
        trained = fit(recording(seen), train=table, ranks=ranks, spark=spark, **settings)
        return trained.metrics["loss"], batches(seen, ranks)

    _, began = fit_on(first)
    for folder in checkpoint.iterdir():
        if folder.name != "epoch-00000-step-000000002":
            shutil.rmtree(folder)
    whole = [row for rank in began for batch in rank for row in batch]
    before = [row for rank in began for batch in rank[:2] for row in batch]
    assert len(set(whole)) == len(whole) == ROWS // first * first
    assert len(before) == 20 * first

    loss, continued = fit_on(then)
    after = [row for rank in continued for batch in rank for row in batch]
    left = set(whole) - set(before)
    assert len(set(after)) == len(after) == len(left) // then * then
    assert set(after) <= left
    # The network says x, and y is x mod 2.
    assert loss == pytest.approx(np.mean([(x - x % 2) ** 2 for x in before + after]), rel=1e-5)


ON_TWO_AND_THREE = """
import sys
from pathlib import Path

sys.path.insert(0, {tests!r})
from test_between_ranks import recording

from sparkmine import session
from sparkmine.lake import Lake
from sparkmine.train import fit

spark = session("ranks", conf={{"spark.master": "local[3]", "spark.driver.memory": "1g"}})
rows = Lake({lake!r}, spark).table("rows").snapshot()
for ranks in (2, 3):
    settings = {{"ranks": ranks, "epochs": 2, "batch_size": 10}}
    fit(recording(Path({seen!r})), train=rows, features=["x"], spark=spark, **settings)
"""


@pytest.mark.slow
def test_two_epochs_of_an_uneven_table_on_two_and_three_ranks(
    table: Snapshot, tmp_path: Path
) -> None:
    """What an epoch leaves out, the next one reads. Three ranks need a session of three slots."""
    assert len({file.rows for file in table.files}) > 1
    code = ON_TWO_AND_THREE.format(
        tests=str(Path(__file__).parent), lake=str(Path(table.path).parent), seen=str(tmp_path)
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    for ranks in (2, 3):
        read = batches(tmp_path, ranks)
        steps = -(-(ROWS // ranks) // 10)
        assert {len(rank) for rank in read} == {2 * steps}
        epochs = [
            [row for rank in read for batch in rank[begin : begin + steps] for row in batch]
            for begin in (0, steps)
        ]
        left_out = []
        for epoch in epochs:
            assert len(set(epoch)) == len(epoch)
            left_out.append(set(range(ROWS)) - set(epoch))
            assert 0 < len(left_out[-1]) == ROWS % ranks <= ranks - 1
        assert left_out[0] <= set(epochs[1])
        assert epochs[0] != epochs[1]
