"""GAN: what it makes, and its pictures."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import matplotlib.image
import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.train import GAN, MLP, TrainedModel, fit
from sparkmine.train.layout import Feature, Layout


@pytest.mark.slow
def test_made_rows_are_distributed_like_real_ones(
    fit_here: Callable[..., TrainedModel], spark: SparkSession, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 1)) @ [[1.0, -0.5]] + rng.normal(size=(2000, 2)) * 0.1 + [2, 1]
    frame = spark.createDataFrame([tuple(map(float, p)) for p in points], "a double, b double")
    trained = fit_here(
        GAN(latent=4, hidden=[64], dropout=0.0),
        frame,
        features=["a", "b"],
        epochs=50,
        batch_size=50,
        learning_rate=0.002,
        checkpoint=tmp_path / "checkpoint",
    )
    made = trained.generate(2000, seed=1)
    np.testing.assert_array_equal(made, trained.generate(2000, seed=1))
    np.testing.assert_allclose(made.mean(axis=0), points.mean(axis=0), atol=0.4)
    assert np.corrcoef(made.T)[0, 1] < -0.8
    assert set(trained.metrics) >= {"loss", "generator_loss", "discriminator_loss"}

    # A row far from all others is less real than one among them.
    rows = spark.createDataFrame([(2.0, 1.0), (8.0, 8.0), (None, 1.0)], "a double, b double")
    among, far, missing = [row.prediction for row in trained.transform(rows).collect()]
    assert among > far
    assert missing is None
    reference = trained.network().predict(np.array([[2.0, 1.0], [8.0, 8.0]]), verbose=0)
    np.testing.assert_allclose([among, far], reference[:, 0], atol=1e-5)

    trained.save(tmp_path / "gan")
    loaded = TrainedModel.load(tmp_path / "gan")
    np.testing.assert_array_equal(loaded.generate(5), trained.generate(5))


def test_one_step_by_hand() -> None:
    """Linear networks: the discriminator moves first, and the generator meets the moved one."""
    layout = Layout(columns=(Feature("v", length=3),))
    model = GAN(latent=2, hidden=[], smoothing=0.1).build(layout)
    model.compile(keras.optimizers.SGD(0.5), jit_compile=False)
    real = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    kernel, bias = model.generator.get_weights()
    judging, offset = model.discriminator.get_weights()
    draws = keras.random.SeedGenerator(0)
    first, second = (np.asarray(keras.random.normal((8, 2), seed=draws)) for _ in range(2))
    model.train_step((real,))

    def sigmoid(values: Any) -> Any:
        return 1 / (1 + np.exp(-values))

    made = first @ kernel + bias
    slopes = [(sigmoid(x @ judging + offset) - t) / 8 for x, t in ((real, 0.9), (made, 0.0))]
    judging = judging - 0.5 * (real.T @ slopes[0] + made.T @ slopes[1])
    offset = offset - 0.5 * (slopes[0] + slopes[1]).sum(axis=0)
    fooling = (sigmoid((second @ kernel + bias) @ judging + offset) - 1) / 8 @ judging.T
    expected = [kernel - 0.5 * second.T @ fooling, bias - 0.5 * fooling.sum(axis=0)]
    for found, wanted in zip(model.discriminator.get_weights(), (judging, offset), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    for found, wanted in zip(model.generator.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.slow
def test_it_resumes(
    fit_here: Callable[..., TrainedModel], spark: SparkSession, tmp_path: Path
) -> None:
    points = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    table = Lake(tmp_path, spark).table("points")
    frame = spark.createDataFrame([(p.tolist(),) for p in points], "v array<float>")
    table.write(frame.coalesce(1))
    settings = {"features": ["v"], "batch_size": 16, "seed": 3}
    network = GAN(latent=2, hidden=[8], dropout=0.2)

    def losses(trained: TrainedModel) -> list[tuple[float, float]]:
        return [(r["generator_loss"], r["discriminator_loss"]) for r in trained.history]

    data = table.snapshot()
    whole = fit_here(network, data, epochs=4, **settings)
    folder = tmp_path / "checkpoint"
    fit_here(network, data, epochs=2, checkpoint=folder, checkpoint_steps=3, **settings)
    shutil.rmtree(folder / "epoch-00002")  # three of its four steps are left
    resumed = fit_here(network, data, epochs=4, checkpoint=folder, **settings)
    np.testing.assert_allclose(losses(resumed), losses(whole), rtol=1e-6)
    assert resumed.weights_hash == whole.weights_hash


@pytest.mark.parametrize(
    ("shape", "filters"), [((4, 4, 1), ()), ((8, 8, 3), (8, 4))], ids=["dense", "convolutional"]
)
def test_a_picture_of_every_epoch(
    fit_here: Callable[..., TrainedModel],
    spark: SparkSession,
    tmp_path: Path,
    shape: tuple[int, int, int],
    filters: tuple[int, ...],
) -> None:
    height, width, channels = shape
    images = np.random.default_rng(0).random((40, height * width * channels))
    frame = spark.createDataFrame([(image.tolist(),) for image in images], "image array<float>")
    events: list[dict[str, Any]] = []
    trained = fit_here(
        GAN(latent=3, hidden=[8], output="sigmoid", shape=shape, filters=filters),
        frame,
        features=["image"],
        epochs=2,
        batch_size=20,
        seed=5,
        samples=tmp_path / "samples",
        progress=events.append,
    )
    files = sorted((tmp_path / "samples").iterdir())
    assert [file.name for file in files] == ["epoch-00001.png", "epoch-00002.png"]
    sent = [base64.b64decode(one["png"]) for one in events if one["event"] == "samples"]
    assert [file.read_bytes() for file in files] == sent
    shown = matplotlib.image.imread(io.BytesIO(sent[-1]), format="png")
    assert shown.shape[:2] == (4 * height, 4 * width)
    # The second tile of the first row, from the same noise.
    (tmp_path / "generator.keras").write_bytes(trained.generator_file or b"")
    generator = keras.saving.load_model(tmp_path / "generator.keras")
    noise = np.random.default_rng(5).normal(size=(16, 3)).astype(np.float32)
    second = np.asarray(generator(noise))[1].reshape(shape)
    tile = shown[:height, width : 2 * width]
    np.testing.assert_allclose(tile.reshape(shape), second, atol=0.6 / 255)


@pytest.mark.slow
def test_on_two_ranks(spark: SparkSession, tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal([3.0, 0.0, -3.0], size=(400, 3))
    frame = spark.createDataFrame([(p.tolist(),) for p in points], "v array<float>")
    trained = fit(
        GAN(latent=4, hidden=[32], dropout=0.1),
        train=frame,
        features=["v"],
        ranks=2,
        epochs=30,
        batch_size=20,
        learning_rate=0.002,
        spark=spark,
    )
    # That both ranks end with the same weights of both networks is checked by every fit.
    made = trained.generate(1000)
    np.testing.assert_allclose(made.mean(axis=0), [3.0, 0.0, -3.0], atol=1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filters": [8]}, "needs a shape whose height and width are multiples of 2"),
        ({"filters": [8, 8], "shape": (6, 8, 1)}, r"multiples of 4, not \[6, 8, 1\]"),
        ({"shape": (6, 8)}, "height, width, and 1 or 3 channels"),
        ({"output": "relu"}, "output='relu': use one of linear, sigmoid, tanh"),
        ({"smoothing": 0.5}, "smoothing=0.5: at least 0 and below 0.5"),
        ({"latent": 0}, "latent=.0.: every number must be at least 1"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GAN(**settings)


def test_mistakes_of_a_fit_are_named(spark: SparkSession) -> None:
    frame = spark.createDataFrame([([0.0, 1.0], 1.0)], "v array<double>, w double")

    def said(network: Any, **settings: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            fit(
                network, train=frame, features=["v"], batch_size=1, ranks=1, spark=spark, **settings
            )
        return str(caught.value)

    assert "look at the samples" in said(GAN(), validation=frame)
    assert "a GAN has no weights of rows" in said(GAN(), weight="w")
    assert "a GAN learns without" in said(GAN(), label="w")
    assert "samples= needs a GAN with a shape" in said(MLP(), samples="anywhere", label="w")
    assert "needs 4 numbers a row, the features have 2" in said(GAN(shape=(2, 2, 1)))
