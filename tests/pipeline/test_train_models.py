"""The models of the stage `train` are the networks, parameter by parameter."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sparkmine import train
from sparkmine.stages import train as blocks

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
