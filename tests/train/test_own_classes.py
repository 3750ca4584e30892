"""Layers and functions of a user's own: which can be trained, and how they come back to score."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine.errors import ConfigError, ModelError, raised_by_workers
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import TrainedModel, fit

MODULE = """
import os
import keras

@keras.saving.register_keras_serializable("own")
class Scaled(keras.layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
        with open(MADE, "a") as processes:
            processes.write(f"{os.getpid()}\\n")

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

@keras.saving.register_keras_serializable("own")
def halved(x):
    return x / 2.0

@keras.saving.register_keras_serializable("own")
class Forgetful(Scaled):
    def get_config(self):
        return {**super().get_config(), "factor": None, "more": 1}

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x

def function(x):
    return x

@keras.saving.register_keras_serializable("own")
class Own(keras.Model):
    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.last = keras.layers.Dense(1, "sigmoid")
        self.first = keras.layers.Dense(units, "tanh")

    def call(self, x):
        return self.last(self.first(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}

def own(width):
    return Own(4)

def of_outputs(made):
    inputs = keras.Input((1,))
    return keras.Model(inputs, made(inputs))

def two_outputs(width):
    return of_outputs(lambda x: [keras.layers.Dense(1)(x), keras.layers.Dense(2)(x)])

def named_outputs(width):
    return of_outputs(lambda x: {"a": keras.layers.Dense(1)(x)})

def sequences(width):
    return of_outputs(lambda x: keras.layers.Reshape((2, 2))(keras.layers.Dense(4)(x)))

def network(width, last="sigmoid", layer=Scaled, factor=3.0):
    layers = [layer(factor), keras.layers.Dense(4, halved), keras.layers.Dense(1, last)]
    return keras.Sequential([keras.Input((width,)), *layers])

def forgetful(width):
    return network(width, layer=Forgetful)

def with_unregistered(width):
    return keras.Sequential([keras.Input((width,)), Unregistered(), keras.layers.Dense(1)])

def with_function(width):
    return network(width, last=function)

def with_lambda(width):
    return network(width, last=lambda x: x)
"""
NAME = "sparkmine_tests_own_network"
FRESH = """
import json, sys
import numpy as np
from sparkmine.errors import ModelError
from sparkmine.train import TrainedModel
trained = TrainedModel.load(sys.argv[1])
x = np.array(json.loads(sys.argv[3]), np.float32)
try:
    trained.predict(x)
except ModelError as error:
    print(json.dumps(str(error)))
sys.path.insert(0, sys.argv[2])
print(json.dumps(trained.predict(x).tolist()))
"""
X = np.array([[-1.0], [0.25], [2.0]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """Where the module is that the workers of the session have, too."""
    folder = tmp_path_factory.mktemp("own")
    (folder / f"{NAME}.py").write_text(f"MADE = {str(folder / 'made')!r}\n{MODULE}")
    spark.sparkContext.addPyFile(str(folder / f"{NAME}.py"))
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    written = Lake(tmp_path_factory.mktemp("rows"), spark).table("rows")
    written.write(spark.range(100).selectExpr("float(id % 7) AS x", "id % 2 AS y").coalesce(1))
    return written.snapshot()


SETTINGS: dict[str, Any] = {"features": ["x"], "batch_size": 50, "epochs": 1}


def expected(trained: TrainedModel, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    first, first_bias, second, second_bias = trained.network().get_weights()
    return 1 / (1 + np.exp(-((3.0 * x @ first + first_bias) / 2.0 @ second + second_bias)))


def test_they_come_back_in_workers_and_in_a_fresh_process(
    folder: Path,
    table: Snapshot,
    spark: SparkSession,
    fit_here: Callable[..., TrainedModel],
    tmp_path: Path,
) -> None:
    trained = fit_here(f"{NAME}:network", table, **SETTINGS)
    assert trained.custom == {"own>Scaled": NAME, "own>halved": NAME}
    assert trained.dense_file is None
    # Six tasks on two cores, so that workers serve several.
    frame = spark.range(0, 6, 1, 6).selectExpr("float(id) AS x")

    absent = replace(trained, custom={**trained.custom, "own>Other": "sparkmine_tests_no_module"})
    text = r"own>Other needs module sparkmine_tests_no_module, which cannot be imported here"
    with pytest.raises(ModelError, match=text), raised_by_workers():
        absent.transform(frame).collect()
    wrong = replace(trained, custom={"own>Scaled": "json"})
    text = rf"own>Scaled shall be registered by module json, but here it is by module {NAME}"
    with pytest.raises(ModelError, match=text):
        wrong.network()

    (folder / "made").unlink()
    scores = [row.prediction for row in trained.transform(frame).collect()]
    counted = Counter((folder / "made").read_text().split())
    assert len(counted) <= 2 and set(counted.values()) == {1}
    x = np.arange(6, dtype=np.float32)[:, None]
    np.testing.assert_allclose(scores, expected(trained, x)[:, 0], atol=1e-6)

    trained.save(tmp_path / "model")
    assert TrainedModel.load(tmp_path / "model") == trained
    done = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path / "model", folder, json.dumps(X.tolist())],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    refused, found = map(json.loads, done.stdout.splitlines())
    assert refused.startswith("MODEL_UNREADABLE: the model's own>Scaled needs module " + NAME)
    np.testing.assert_allclose(found, expected(trained, X), atol=1e-6)


def with_local(width: int) -> Any:
    @keras.saving.register_keras_serializable("local")
    class Local(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    return keras.Sequential([keras.Input((width,)), Local(), keras.layers.Dense(1)])


def with_loss(width: int) -> Any:
    """What is compiled into a model is not saved."""
    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
    model.compile("adam", loss=lambda y, found: (y - found) ** 2)
    return model


TO_DO = ".* cannot be loaded again to score: put it into a module that every executor can import"


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (with_local, "Local of the model" + TO_DO),
        (f"{NAME}:with_unregistered", "Unregistered of the model" + TO_DO),
        (f"{NAME}:with_function", "function of the model" + TO_DO),
        (f"{NAME}:with_lambda", "Could not interpret activation function"),
        (f"{NAME}:forgetful", "cannot be loaded again to score: TypeError: .*'more'"),
    ],
)
def test_what_could_not_be_scored_is_refused_before_training(
    network: Any, text: str, folder: Path, table: Snapshot, fit_here: Callable[..., TrainedModel]
) -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(ConfigError, match=text):
        fit_here(network, table, progress=events.append, **SETTINGS)
    assert not events


def test_a_loss_may_be_anything(table: Snapshot, fit_here: Callable[..., TrainedModel]) -> None:
    assert fit_here(with_loss, table, **SETTINGS).custom == {}


def test_a_subclass_of_keras_model(
    folder: Path, table: Snapshot, fit_here: Callable[..., TrainedModel]
) -> None:
    """It has no shapes of its own, and its last layer is none that it lists last."""
    with pytest.raises(ConfigError, match="model is a Own, whose last layer cannot be told: say"):
        fit_here(f"{NAME}:own", table, **SETTINGS)
    trained = fit_here(f"{NAME}:own", table, validation=table, task="binary", **SETTINGS)
    assert trained.custom == {"own>Own": NAME}
    weights = {one.shape: one for one in trained.network().get_weights()}
    first, first_bias, last, last_bias = (weights[shape] for shape in [(1, 4), (4,), (4, 1), (1,)])
    found = 1 / (1 + np.exp(-(np.tanh(X @ first + first_bias) @ last + last_bias)))
    np.testing.assert_allclose(trained.predict(X), found, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("two_outputs", r"returns several outputs, \[\(1, 1\), \(1, 2\)\]: return a model"),
        ("named_outputs", r"returns several outputs, \{'a': \(1, 1\)\}: return a model"),
        ("sequences", r"returns arrays of shape \(1, 2, 2\): return a model with one output"),
    ],
)
def test_other_outputs_are_refused(
    network: str, text: str, folder: Path, table: Snapshot, fit_here: Callable[..., TrainedModel]
) -> None:
    with pytest.raises(ConfigError, match=f"the model of {NAME}:{network} {text}"):
        fit_here(f"{NAME}:{network}", table, **SETTINGS)


@pytest.mark.slow
def test_a_copy_of_a_class_is_refused(folder: Path, table: Snapshot, spark: SparkSession) -> None:
    """Everything of its module travels with a function that is given as an object."""
    network = importlib.import_module(NAME).network
    text = "CONFIG_INVALID: Scaled of the model cannot .*; name the function as 'package.module:"
    with pytest.raises(ConfigError, match=text):
        fit(network, train=table, ranks=1, spark=spark, **SETTINGS)


@pytest.mark.slow
def test_a_function_by_its_name_is_trained_on_a_rank(
    folder: Path, table: Snapshot, spark: SparkSession
) -> None:
    trained = fit(f"{NAME}:network", train=table, ranks=1, spark=spark, **SETTINGS)
    assert trained.custom == {"own>Scaled": NAME, "own>halved": NAME}
    assert trained.settings["network"]["function"] == f"{NAME}:network"
    scored = trained.transform(table.dataframe(spark)).toPandas()
    rows = scored["x"].to_numpy(np.float32)[:, None]
    np.testing.assert_allclose(scored["prediction"], expected(trained, rows)[:, 0], atol=1e-6)
