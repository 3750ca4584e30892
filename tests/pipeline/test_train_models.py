"""The models of the stage `train` are the networks, parameter by parameter."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sparkmine import train
from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.model import Model
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.stages import train as blocks
from sparkmine.stages.library import NetworkModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KINDS: list[tuple[type[Any], type[Any], dict[str, Any]]] = [
    (blocks.MlpModel, train.MLP, {}),
    (blocks.CnnModel, train.CNN, {"shape": [28, 28, 1]}),
    (blocks.RnnModel, train.RNN, {}),
    (blocks.AutoencoderModel, train.Autoencoder, {}),
    (blocks.GanModel, train.GAN, {}),
]


@pytest.mark.parametrize(("block", "network", "needed"), KINDS)
def test_parameters_and_defaults_are_the_same(
    block: Any, network: Any, needed: dict[str, Any]
) -> None:
    kind = network.__name__.lower()
    settings = block(kind=kind, **needed).model_dump(exclude={"kind"})
    assert set(settings) == {one.name for one in fields(network)} - {"task", "classes"}
    assert network(**settings) == network(**needed)


def test_early_stopping_has_the_same_parameters() -> None:
    assert train.EarlyStopping(**blocks.Stopping().model_dump()) == train.EarlyStopping()


def test_a_network_of_a_search_is_trained_as_declared() -> None:
    block = NetworkModel(
        kind="network",
        network=blocks.MlpModel(kind="mlp", hidden=[4]),
        validation_share=0.25,
        early_stopping=blocks.Stopping(patience=2),
        class_weight={"0": 1, "1": 4},
    )
    assert block.estimator("binary") == train.Training(
        network=train.MLP(hidden=(4,)),
        learning_rate=0.001,
        validation_share=0.25,
        early_stopping=train.EarlyStopping(patience=2),
        class_weight={0: 1.0, 1: 4.0},
    )
    for wrong, message in (
        ({"validation_share": 0.0}, "needs validation_share="),
        ({"validation_share": 0.6}, "must be 0 to 0.5"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(block.estimator("binary"), **wrong)


@pytest.mark.slow
def test_weights_of_classes_reach_the_training(
    finished: Path, small: Callable[..., Path], spark: SparkSession, tmp_path: Path
) -> None:
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    file = small(training=True)
    weighted = '    class_weight: {"0": 1, "1": 6}\n    ranks: 1\n'
    file.write_text(file.read_text().replace("    ranks: 2\n", weighted))
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(file), lake, lambda event: None).run(only="mlp")
    (folder,) = (tmp_path / "lake" / "_artifacts" / "mlp").iterdir()
    model = Model.load(folder)
    assert isinstance(model, train.TrainedModel)
    assert model.settings["class_weight"] == {"0": 1.0, "1": 6.0}
    # Rows of class 1 count six times, so it seems as much more frequent than it is.
    scores = lake.table("scores/mlp").snapshot().dataframe(spark).toPandas()
    assert scores.prediction.mean() > scores.again.mean() + 0.08


def test_a_model_is_found_by_its_kind() -> None:
    adapter = TypeAdapter(blocks.Train.model_fields["model"].annotation)
    found = adapter.validate_python({"kind": "rnn", "cell": "gru", "max_length": 52})
    assert isinstance(found, blocks.RnnModel)
    for wrong in (
        {"kind": "gan", "shape": [4, 4]},
        {"kind": "rnn", "shape": [2, 1]},
        {"kind": "cnn"},
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
