"""Optimizers by name, by settings and as Keras writes them, checked before TensorFlow starts."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import pytest

from sparkmine.errors import ConfigError
from sparkmine.train.optimizer import make
from sparkmine.train.optimizer_choice import SETTINGS, chosen


@pytest.mark.parametrize("name", list(SETTINGS))
def test_the_settings_are_those_of_keras(name: str) -> None:
    settings = {**dict.fromkeys(SETTINGS[name], 0.5), "weight_decay": 0.5, "clipvalue": 0.5}
    if "learning_rate_power" in settings:
        settings["learning_rate_power"] = -0.5
    flags = {"amsgrad", "centered", "nesterov", "relative_step"} & set(settings)
    made = make(*chosen({"name": name, **settings, **dict.fromkeys(flags, True)}, 0.25))
    assert type(made).__name__.lower() == name
    config = made.get_config()
    assert config["learning_rate"] == 0.25
    assert all(config[key] in (0.5, -0.5, True) for key in settings)
    # None is left out but for those that all optimizers of Keras have.
    assert parameters(name) - set.intersection(*map(parameters, SETTINGS)) == set(SETTINGS[name])


def parameters(name: str) -> set[str]:
    found = inspect.signature(type(keras.optimizers.get(name))).parameters
    return {key for key, one in found.items() if one.kind is not inspect.Parameter.VAR_KEYWORD}


def test_what_keras_writes_comes_back() -> None:
    written = keras.optimizers.serialize(keras.optimizers.AdamW(0.5, beta_2=0.75, clipnorm=2.0))
    name, settings, rate = chosen(written, None)
    assert (name, rate) == ("adamw", 0.5)
    made = make(name, settings, rate).get_config()
    written["config"].pop("name")
    assert {key: made[key] for key in written["config"]} == written["config"]


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        ("adm", "optimizer 'adm': use one of adadelta, "),
        (7, "optimizer is a int; give a name"),
        ({"name": "sgd", "beta_1": 0.9}, "optimizer sgd has no setting 'beta_1': momentum, nest"),
        ({"name": "sgd", "momentum": "0.9"}, "optimizer sgd: momentum is '0.9'; it must be a num"),
        ({"name": "sgd", "nesterov": 1}, "optimizer sgd: nesterov is 1; true or false"),
        ({"clipnorm": 0.0}, "optimizer adam: clipnorm is 0; it must be more than 0"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "clipnorm and clipvalue: give one of them"),
        ({"learning_rate": 0.5}, "learning_rate=0.1, and the optimizer's is 0.5: give one"),
        (
            {"class_name": "Adam", "config": {"use_ema": True}},
            "optimizer Adam: use_ema is not supported here",
        ),
        (
            {"class_name": "Adam", "config": {"learning_rate": {"class_name": "CosineDecay"}}},
            "learning_rate is a schedule; give schedule= instead",
        ),
    ],
)
def test_mistakes_are_named(optimizer: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        chosen(optimizer, 0.1)
