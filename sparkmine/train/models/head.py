"""Dense layers and the output, with which most networks end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.train.models.base import TASKS

if TYPE_CHECKING:
    from sparkmine.train.layout import Layout

_ACTIVATIONS = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multilabel": "sigmoid",
    "regression": "linear",
}


def check_sizes(network: str, parameter: str, sizes: Sequence[int]) -> None:
    """Raise ConfigError unless all sizes are whole numbers of at least 1."""
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ConfigError(f"{network} {parameter}={list(sizes)}: every number must be at least 1")


def check_dropout(network: str, dropout: float) -> None:
    """Raise ConfigError unless `dropout` is a share below 1."""
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"{network} dropout={dropout}: must be at least 0 and below 1")


def check_task(network: str, task: str, classes: int | None) -> None:
    """Raise ConfigError unless `task` is known and `classes` is given where it must be."""
    if task not in _ACTIVATIONS:
        known = ", ".join(name for name in TASKS if name in _ACTIVATIONS)
        raise ConfigError(f"{network} task={task!r}: use one of {known}")
    if (task == "multiclass") != (classes is not None):
        raise ConfigError(f"{network}: classes is needed for task='multiclass', and only for it")
    if classes is not None and classes < 2:
        raise ConfigError(f"{network} classes={classes}: at least 2")


def initializer(activation: str) -> str:
    """Return the initial distribution of kernels before `activation`: He's before those of relu's
    kind."""
    return "he_normal" if activation in ("relu", "leaky_relu") else "glorot_uniform"


def hidden_layers(
    hidden: Sequence[int],
    *,
    activation: str,
    dropout: float = 0.0,
    batch_normalisation: bool = False,
    penalty: Any = None,
) -> list[Any]:
    """Return dense layers, each followed by batch normalisation, activation and dropout."""
    import keras

    layers: list[Any] = []
    for units in hidden:
        layers.append(
            keras.layers.Dense(
                units,
                # The normalisation's own offset makes a bias redundant.
                use_bias=not batch_normalisation,
                kernel_initializer=initializer(activation),
                kernel_regularizer=penalty,
            )
        )
        if batch_normalisation:
            layers.append(keras.layers.BatchNormalization())
        layers.append(keras.layers.Activation(activation))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return layers


def output_layer(task: str, classes: int | None, layout: Layout) -> Any:
    """Return the last layer: as many units as `task` has outputs, and its activation."""
    import keras

    units = len(layout.labels) if task == "multilabel" else classes or 1
    return keras.layers.Dense(units, activation=_ACTIVATIONS[task], name="output")


def applied(layers: Sequence[Any], tensor: Any) -> Any:
    """Return `tensor` after all `layers`."""
    for layer in layers:
        tensor = layer(tensor)
    return tensor
