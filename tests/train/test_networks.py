"""Networks built in this process: what they compute, by hand, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import ConfigError
from sparkmine.recipe.columns import BUCKET, INDEX, NUMBER, ColumnInfo
from sparkmine.train import CNN, MLP, RNN, Autoencoder
from sparkmine.train.layout import Feature, Layout
from sparkmine.train.loaded import rows_at_once

Matrix = np.ndarray[Any, Any]


def saved_and_loaded(model: Any, folder: Path) -> Any:
    """The model as `trained.transform` gets it."""
    import keras

    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)


def test_embeddings_equal_a_hand_lookup(tmp_path: Path) -> None:
    columns = (
        Feature("a"),
        Feature("shop", cardinality=5),
        Feature("parts", length=2),
        Feature("words", length=3, cardinality=7),
    )
    layout = Layout(columns=columns)
    network = MLP(hidden=[], embeddings={"shop": 2}, task="regression")
    model = saved_and_loaded(network.build(layout), tmp_path)
    shops, words, kernel, bias = model.get_weights()
    assert (shops.shape, words.shape, kernel.shape) == ((5, 2), (7, 4), (17, 1))
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(50, 3)).astype(np.float32)
    shop, word = rng.integers(0, 5, 50), rng.integers(0, 7, (50, 3))
    matrix = np.column_stack([numbers[:, :1], shop, numbers[:, 1:], word]).astype(np.float32)
    joined = np.hstack([numbers, shops[shop], words[word].reshape(50, 12)])
    np.testing.assert_allclose(
        np.asarray(model(matrix)), joined.astype(np.float64) @ kernel + bias, atol=1e-5
    )


def test_an_image_is_a_row_of_numbers(tmp_path: Path) -> None:
    network = CNN(shape=(4, 5, 2), filters=[3], pool=1, hidden=[], activation="linear")
    model = saved_and_loaded(
        network.build(Layout(columns=(Feature("image", length=40),))), tmp_path
    )
    kernel, bias, last, offset = model.get_weights()
    images = np.random.default_rng(0).normal(size=(6, 4, 5, 2)).astype(np.float32)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    filtered = np.zeros((6, 4, 5, 3)) + bias
    for i, j in np.ndindex(3, 3):
        filtered += padded[:, i : i + 4, j : j + 5] @ kernel[i, j].astype(np.float64)
    expected = 1 / (1 + np.exp(-(filtered.reshape(6, -1) @ last + offset)))
    np.testing.assert_allclose(np.asarray(model(images.reshape(6, -1))), expected, atol=1e-5)


def test_a_column_for_each_channel_is_the_same_signal(tmp_path: Path) -> None:
    network = CNN(shape=(16, 3), filters=[4, 5], pool=2, hidden=[6], batch_normalisation=True)
    channels = tuple(Feature(name, length=16) for name in "xyz")
    apart = saved_and_loaded(network.build(Layout(columns=channels)), tmp_path)
    whole = network.build(Layout(columns=(Feature("signal", length=48),)))
    whole.set_weights(apart.get_weights())
    signals = np.random.default_rng(1).normal(size=(7, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(apart(signals.transpose(0, 2, 1).reshape(7, 48))),
        np.asarray(whole(signals.reshape(7, 48))),
        atol=1e-6,
    )


def test_images_of_another_size_are_named() -> None:
    layout = Layout(columns=(Feature("image", length=783), Feature("age")))
    with pytest.raises(ConfigError, match=r"784 numbers.* the features give image: 783, age: 1"):
        CNN(shape=(28, 28, 1)).check(layout)


# tanh: three relu units may all be 0, and then rows do not differ.
RAGGED = RNN(
    cell="gru", units=[5, 4], bidirectional=True, hidden=[3], activation="tanh", max_length=6
)


@pytest.mark.parametrize("network", [RAGGED, replace(RAGGED, cell="lstm", bidirectional=False)])
def test_padding_changes_nothing(network: RNN, tmp_path: Path) -> None:
    def layout(length: int, padded: bool) -> Layout:
        channels = (Feature("a", length, padded), Feature("b", length, padded))
        return Layout(columns=(*channels, Feature("age")))

    rng = np.random.default_rng(2)
    lengths = [0, 1, 2, 5, 6, 3]
    a, b = ([rng.normal(size=n).tolist() for n in lengths] for _ in range(2))
    table = pa.table({"a": a, "b": b, "age": rng.normal(size=6)})
    model = saved_and_loaded(network.build(layout(6, True)), tmp_path)
    found = np.asarray(model(layout(6, True).matrix(table)))
    longer = network.build(layout(9, True))
    longer.set_weights(model.get_weights())
    again = np.asarray(longer(layout(9, True).matrix(table)))
    np.testing.assert_allclose(again, found, atol=1e-6)
    # Each row by itself, without padding and mask.
    for row, length in enumerate(lengths):
        if length:
            exact = network.build(layout(length, False))
            exact.set_weights(model.get_weights())
            one = np.asarray(exact(layout(length, False).matrix(table.slice(row, 1))))
            np.testing.assert_allclose(one[0], found[row], atol=1e-6)
    assert len({round(float(value), 5) for value in found[:, 0]}) == 6


def test_words_are_sequences_of_their_vectors() -> None:
    network = RNN(cell="gru", units=[3], max_length=4)
    words = Layout(columns=(Feature("words", 4, True, cardinality=8),))
    model = network.build(words)
    vectors, *others = model.get_weights()
    assert vectors.shape == (8, 4)
    table = pa.table({"words": [[1, 7], [2, 2, 5, 0], [3]]})
    channels = Layout(columns=tuple(Feature(f"c{n}", 4, True) for n in range(4)))
    looked_up = {
        f"c{n}": [vectors[row, n].tolist() for row in table.column("words").to_pylist()]
        for n in range(4)
    }
    numeric = network.build(channels)
    numeric.set_weights(others)
    np.testing.assert_allclose(
        np.asarray(numeric(channels.matrix(pa.table(looked_up)))),
        np.asarray(model(words.matrix(table))),
        atol=1e-6,
    )


def test_sequences_are_arrays_of_one_length() -> None:
    with pytest.raises(ConfigError, match="no feature is an array"):
        RNN().check(Layout(columns=(Feature("age"),)))
    with pytest.raises(ConfigError, match="they have a: 3, b: 4"):
        RNN().check(Layout(columns=(Feature("a", 3), Feature("b", 4))))


def test_outputs_follow_the_task() -> None:
    layout = Layout(columns=(Feature("a"),), labels=("x", "y", "z"))
    for options, units, activation in [
        ({"task": "binary"}, 1, "sigmoid"),
        ({"task": "regression"}, 1, "linear"),
        ({"task": "multiclass", "classes": 5}, 5, "softmax"),
        ({"task": "multilabel"}, 3, "sigmoid"),
    ]:
        last = MLP(hidden=[], **options).build(layout).layers[-1]  # type: ignore[arg-type]
        assert (last.units, last.activation.__name__) == (units, activation)


def test_index_columns_come_from_recipes_and_configuration() -> None:
    columns = [
        ColumnInfo("a", NUMBER),
        ColumnInfo("shop", INDEX, 12),
        ColumnInfo("spend", BUCKET, 16),
        ColumnInfo("code", NUMBER),
    ]
    assert MLP().indices(columns) == {"shop": 12}
    network = MLP(embeddings={"spend": 3}, cardinalities={"code": 9, "shop": 20})
    assert network.indices(columns) == {"shop": 20, "spend": 16, "code": 9}
    for wrong, text in [
        ({"embeddings": {"b": 2}}, "MLP embeds b, which is not among the features"),
        ({"embeddings": {"code": 2}}, "the cardinality of code is not known; .*cardinalities="),
        ({"cardinalities": {"code": 1 << 25}}, "code has the cardinality 33554432"),
    ]:
        with pytest.raises(ConfigError, match=text):
            MLP(**wrong).indices(columns)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("network", "options", "text"),
    [
        (MLP, {"hidden": [0]}, r"MLP hidden=\[0\]: every number must be at least 1"),
        (MLP, {"dropout": 1.0}, "MLP dropout=1.0"),
        (MLP, {"embeddings": {"a": 0}}, r"MLP embeddings=\[0\]"),
        (MLP, {"task": "ranking"}, "task='ranking': use one of binary, multiclass"),
        (MLP, {"task": "multiclass"}, "classes is needed"),
        (MLP, {"l2": -1.0}, "must not be negative"),
        (Autoencoder, {"hidden": []}, "Autoencoder hidden is empty"),
        (RNN, {"cell": "elman"}, "RNN cell='elman': use one of lstm, gru"),
        (RNN, {"units": []}, "RNN units is empty"),
        (RNN, {"max_length": 0}, r"RNN max_length=\[0\]"),
        (CNN, {"shape": (28, 28)[:1]}, r"CNN shape=\(28,\): give \(height, width, channels\)"),
        (CNN, {"shape": (28, 28, 1), "filters": []}, "CNN filters is empty"),
        (
            CNN,
            {"shape": (8, 1), "filters": [2] * 4},
            "4 times pool=2 leaves nothing of a side of 8",
        ),
        (CNN, {"shape": (8, 1), "kernel": 0}, r"CNN kernel, pool=\[0, 2\]"),
    ],
)
def test_wrong_settings_are_named(network: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        network(**options)


def test_what_layers_leave_fits_into_a_cache() -> None:
    import keras

    class OwnModel(keras.Model):  # type: ignore[misc]
        """Its layers have no outputs to look at."""

        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, features: Any) -> Any:
            return self.dense(features)

    pictures = Layout(columns=(Feature("image", length=28 * 28),))
    # 28 * 28 * 32 floats are 100,352 bytes, of which 167 fit into 16 MiB; twice the filters, 83.
    assert rows_at_once(CNN(shape=(28, 28, 1), filters=[32, 8]).build(pictures)) == 128
    assert rows_at_once(CNN(shape=(28, 28, 1), filters=[8, 64], pool=1).build(pictures)) == 64
    assert rows_at_once(MLP(hidden=[8]).build(pictures)) == 1024
    assert rows_at_once(MLP(hidden=[8]).build(pictures), most=4096) == 4096
    assert rows_at_once(OwnModel()) == 128
    # The widest layer may lie within another one.
    inner = keras.Sequential(
        [keras.Input((28 * 28,)), keras.layers.Dense(1 << 16), keras.layers.Dense(2)]
    )
    assert rows_at_once(keras.Sequential([inner, keras.layers.Dense(1)])) == 64
