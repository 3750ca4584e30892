"""Which Keras optimizer with which settings, checked on the driver without TensorFlow.

Clipping and weight decay act on the gradients after they were averaged over the ranks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sparkmine.errors import ConfigError

# A name, {name: adam, clipnorm: 1.0}, or what `keras.optimizers.serialize` returns.
OptimizerChoice = str | Mapping[str, Any]

_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_OF_ALL = (*_CLIPS, "weight_decay")
_ADAM = ("beta_1", "beta_2", "epsilon")
SETTINGS: dict[str, tuple[str, ...]] = {
    "adadelta": ("rho", "epsilon"),
    "adafactor": ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"),
    "adagrad": ("initial_accumulator_value", "epsilon"),
    "adam": (*_ADAM, "amsgrad"),
    "adamax": _ADAM,
    "adamw": (*_ADAM, "amsgrad"),
    "ftrl": (
        "learning_rate_power",
        "initial_accumulator_value",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
    ),
    "lion": ("beta_1", "beta_2"),
    "nadam": _ADAM,
    "rmsprop": ("rho", "momentum", "epsilon", "centered"),
    "sgd": ("momentum", "nesterov"),
}
_FLAGS = {"amsgrad", "centered", "nesterov", "relative_step"}
# What an optimizer has beside them; only as long as it is switched off.
OFF = {
    "use_ema": False,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


def chosen(
    optimizer: OptimizerChoice, learning_rate: float | None
) -> tuple[str, dict[str, Any], float | None]:
    """Return the optimizer's name, its settings, and the learning rate.

    Raises:
        ConfigError: there is no such optimizer or setting, or two learning rates.
    """
    name, settings = _parts(optimizer)
    if name not in SETTINGS:
        raise ConfigError(
            f"optimizer {name!r}: use one of {', '.join(SETTINGS)}; for another one give a "
            "function that returns a compiled model"
        )
    rate = settings.pop("learning_rate", None)
    if isinstance(rate, Mapping):
        raise ConfigError(f"optimizer {name}: learning_rate is a schedule; give schedule= instead")
    if rate is not None:
        _check(name, "learning_rate", rate)
        if learning_rate is not None:
            raise ConfigError(
                f"learning_rate={learning_rate:g}, and the optimizer's is {rate:g}: give one"
            )
        learning_rate = float(rate)
    known = (*SETTINGS[name], *_OF_ALL)
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(f"optimizer {name} has no setting {key!r}: {', '.join(known)}")
        _check(name, key, value)
    if len(clips := [key for key in _CLIPS if key in settings]) > 1:
        raise ConfigError(f"optimizer {name}: {' and '.join(clips)}: give one of them")
    return name, settings, learning_rate


def _parts(optimizer: OptimizerChoice) -> tuple[str, dict[str, Any]]:
    if isinstance(optimizer, str):
        return optimizer.lower(), {}
    if not isinstance(optimizer, Mapping):
        raise ConfigError(
            f"optimizer is a {type(optimizer).__name__}; give a name, its settings as "
            "{'name': 'adam', 'clipnorm': 1.0}, or keras.optimizers.serialize(optimizer)"
        )
    if "class_name" not in optimizer:
        settings = {key: value for key, value in optimizer.items() if key != "name"}
        return str(optimizer.get("name", "adam")).lower(), _given(settings)
    settings = dict(optimizer.get("config") or {})
    settings.pop("name", None)
    settings.pop("ema_momentum", None)
    for key, off in OFF.items():
        if settings.pop(key, off) != off:
            raise ConfigError(
                f"optimizer {optimizer['class_name']}: {key} is not supported here; leave it out"
            )
    return str(optimizer["class_name"]).lower(), _given(settings)


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _check(name: str, key: str, value: Any) -> None:
    if key in _FLAGS:
        if not isinstance(value, bool):
            raise ConfigError(f"optimizer {name}: {key} is {value!r}; true or false")
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise ConfigError(f"optimizer {name}: {key} is {value!r}; it must be a number")
    if key in (*_CLIPS, "learning_rate") and value <= 0:
        raise ConfigError(f"optimizer {name}: {key} is {value:g}; it must be more than 0")
