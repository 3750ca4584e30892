"""What a network returns, whoever wrote it. Runs in the rank's process only."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.train.adversarial import Adversarial


def units(model: Any, width: int, called: str | None) -> int:
    """Build `model` if it is not, and return how many numbers it gives for a row.

    Args:
        width: Numbers of a row that it takes.
        called: The user's function that made it; None of a network of ours.

    Raises:
        ConfigError: it does not return one tensor [rows, numbers].
    """
    if isinstance(model, Adversarial):
        return 1
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, width))
    if called is None or (type(model) is keras.Sequential and has_layers_in_order(model)):
        shape = model.output_shape
    else:  # what others return is known when they are called
        found = model(np.zeros((1, width), np.float32), training=False)
        shape = keras.tree.map_structure(lambda one: tuple(one.shape), found)
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[1], int):
        raise ConfigError(
            f"the model of {called} returns {_described(shape)}: return a model with one output "
            "[rows, numbers], such as that of a last Dense layer"
        )
    return int(shape[1])


def has_layers_in_order(model: Any) -> bool:
    """Whether the last layer of `model` is known to make its output: not in a subclass."""
    return hasattr(model, "output_shape")


def _described(shape: Any) -> str:
    several = not isinstance(shape, tuple) or any(isinstance(one, tuple) for one in shape)
    return f"several outputs, {shape}" if several else f"arrays of shape {shape}"
