"""Convolutional network over images and signals (LeCun et al. 1998)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.train.models import head
from sparkmine.train.models.base import Network, Task

if TYPE_CHECKING:
    import keras

    from sparkmine.train.layout import Layout


@dataclass(frozen=True, kw_only=True)
class CNN(Network):
    """Convolutions, each followed by batch normalisation, activation and pooling; a dense head.

    `shape` is (height, width, channels) for images, (length, channels) for signals. The features
    are one array column with the numbers of an image row by row, the channels of a pixel side by
    side (as NumPy's `ravel` gives them), or one array column for each channel. `filters` has a
    number for every convolution, `kernel` is their size, `pool` how many neighbours in each
    direction become one (1: none). `hidden` and `dropout` are of the dense head.
    """

    shape: Sequence[int]
    filters: Sequence[int] = (32, 64)
    kernel: int = 3
    pool: int = 2
    hidden: Sequence[int] = (64,)
    activation: str = "relu"
    dropout: float = 0.0
    batch_normalisation: bool = False
    task: Task = "binary"
    classes: int | None = None

    def __post_init__(self) -> None:
        for name in ("shape", "filters", "hidden"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            head.check_sizes("CNN", name, getattr(self, name))
        head.check_sizes("CNN", "kernel, pool", (self.kernel, self.pool))
        head.check_dropout("CNN", self.dropout)
        head.check_task("CNN", self.task, self.classes)
        if len(self.shape) not in (2, 3):
            raise ConfigError(
                f"CNN shape={self.shape}: give (height, width, channels) for images, "
                "(length, channels) for signals"
            )
        if not self.filters:
            raise ConfigError("CNN filters is empty: a convolution needs a number of filters")
        smallest = min(self.shape[:-1])
        if smallest < self.pool ** len(self.filters):
            raise ConfigError(
                f"CNN: {len(self.filters)} times pool={self.pool} leaves nothing of a side of "
                f"{smallest}; use fewer filters or a smaller pool"
            )

    def build(self, layout: Layout) -> keras.Model:
        import keras

        if len(self.shape) == 3:
            convolution, pooling = keras.layers.Conv2D, keras.layers.MaxPooling2D
        else:
            convolution, pooling = keras.layers.Conv1D, keras.layers.MaxPooling1D
        layers: list[Any] = [keras.Input(shape=(layout.width,), name="features")]
        layers += self._shaped(layout)
        for filters in self.filters:
            layers.append(
                convolution(
                    filters,
                    self.kernel,
                    padding="same",
                    use_bias=not self.batch_normalisation,
                    kernel_initializer=head.initializer(self.activation),
                )
            )
            if self.batch_normalisation:
                layers.append(keras.layers.BatchNormalization())
            layers.append(keras.layers.Activation(self.activation))
            if self.pool > 1:
                layers.append(pooling(self.pool))
        layers.append(keras.layers.Flatten())
        layers += head.hidden_layers(
            self.hidden,
            activation=self.activation,
            dropout=self.dropout,
            batch_normalisation=self.batch_normalisation,
        )
        layers.append(head.output_layer(self.task, self.classes, layout))
        return keras.Sequential(layers, name="cnn")

    def identity(self) -> dict[str, Any]:
        return {"network": "CNN", **asdict(self)}

    def check(self, layout: Layout) -> None:
        self._channels_apart(layout)

    def _channels_apart(self, layout: Layout) -> bool:
        """Return whether every channel is a column of its own."""
        *sides, channels = self.shape
        widths = [column.width for column in layout.columns]
        if len(widths) > 1 and widths == [math.prod(sides)] * channels:
            return True
        if len(widths) > 1 or sum(widths) != math.prod(self.shape):
            raise ConfigError(
                f"CNN shape={self.shape}: needs one array column of {math.prod(self.shape)} "
                f"numbers, or {channels} of {math.prod(sides)}, a channel each; the features give "
                + ", ".join(f"{one.name}: {one.width}" for one in layout.columns[:5])
            )
        return False

    def _shaped(self, layout: Layout) -> list[Any]:
        """Return the layers that turn a row of numbers into an image or signal."""
        import keras

        if not self._channels_apart(layout):
            return [keras.layers.Reshape(self.shape)]
        # Channel after channel; Keras wants the channels of a pixel side by side.
        *sides, channels = self.shape
        last = (*range(2, len(self.shape) + 1), 1)
        return [keras.layers.Reshape((channels, *sides)), keras.layers.Permute(last)]
