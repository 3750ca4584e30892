"""Autoencoder: what a narrow network cannot rebuild is unusual (Hawkins et al. 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.train.models import head
from sparkmine.train.models.base import Network, Task

if TYPE_CHECKING:
    import keras

    from sparkmine.train.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Network):
    """Dense layers down to a code, and the same layers back to the features; it needs no label.

    `hidden` are the encoder's layers; the last is the code, which is linear, so that with one
    layer the network spans what PCA spans. The loss is the mean squared error of the features:
    scale them before, or the largest decide alone. `transform` adds this error of the row as
    `prediction`, an outlier score.
    """

    hidden: Sequence[int] = (32, 8)
    activation: str = "relu"
    dropout: float = 0.0
    batch_normalisation: bool = False
    task: Task = field(default="reconstruction", init=False)
    classes: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        head.check_sizes("Autoencoder", "hidden", self.hidden)
        head.check_dropout("Autoencoder", self.dropout)
        if not self.hidden:
            raise ConfigError("Autoencoder hidden is empty: its last number is the code's")

    def build(self, layout: Layout) -> keras.Model:
        import keras

        *outer, code = self.hidden
        return keras.Sequential(
            [
                keras.Input(shape=(layout.width,), name="features"),
                *self._layers(outer),
                keras.layers.Dense(code, name="code"),
                *self._layers(outer[::-1]),
                keras.layers.Dense(layout.width, name="output"),
            ],
            name="autoencoder",
        )

    def identity(self) -> dict[str, Any]:
        return {"network": "Autoencoder", **asdict(self)}

    def _layers(self, hidden: Sequence[int]) -> list[Any]:
        return head.hidden_layers(
            hidden,
            activation=self.activation,
            dropout=self.dropout,
            batch_normalisation=self.batch_normalisation,
        )
