"""Recurrent network over sequences: LSTM (Hochreiter 1997) and GRU cells (Cho 2014)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from sparkmine.errors import ConfigError
from sparkmine.train.models import embedding, head
from sparkmine.train.models.base import Network, Task

if TYPE_CHECKING:
    import keras

    from sparkmine.recipe.columns import ColumnInfo
    from sparkmine.train.layout import Feature, Layout

Cell = Literal["lstm", "gru"]


@dataclass(frozen=True, kw_only=True)
class RNN(Network):
    """Recurrent layers over the array columns, then a dense head.

    Each array column is a channel: its first number belongs to the first step. All arrays of a row
    have one length. With `max_length` rows may have different lengths up to it; the steps that a
    shorter sequence does not have are masked and change nothing. Without it, all arrays have one
    length. Features that are no arrays are facts of the row, and join after the last recurrent
    layer.

    `units` has a number for every recurrent layer; `bidirectional` reads the sequence from both
    ends. `dropout` follows every recurrent and hidden layer. Index columns (words, shops) are
    embedded as in an `MLP`.
    """

    cell: Cell = "lstm"
    units: Sequence[int] = (32,)
    bidirectional: bool = False
    max_length: int | None = None
    hidden: Sequence[int] = ()
    activation: str = "relu"
    dropout: float = 0.0
    embeddings: Mapping[str, int] = field(default_factory=dict)
    cardinalities: Mapping[str, int] = field(default_factory=dict)
    task: Task = "binary"
    classes: int | None = None

    def __post_init__(self) -> None:
        for name in ("units", "hidden"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            head.check_sizes("RNN", name, getattr(self, name))
        if self.cell not in get_args(Cell):
            raise ConfigError(f"RNN cell={self.cell!r}: use one of {', '.join(get_args(Cell))}")
        if not self.units:
            raise ConfigError("RNN units is empty: name at least one recurrent layer")
        if self.max_length is not None:
            head.check_sizes("RNN", "max_length", (self.max_length,))
        head.check_sizes("RNN", "embeddings", tuple(self.embeddings.values()))
        head.check_dropout("RNN", self.dropout)
        head.check_task("RNN", self.task, self.classes)

    def check(self, layout: Layout) -> None:
        lengths = {one.name: one.length for one in layout.columns if one.length is not None}
        if not lengths:
            raise ConfigError("RNN: no feature is an array; a sequence is an array column")
        if len(set(lengths.values())) > 1:
            raise ConfigError(
                "RNN: the array columns are the channels of one sequence and need one length, "
                "they have " + ", ".join(f"{name}: {length}" for name, length in lengths.items())
            )

    def build(self, layout: Layout) -> keras.Model:
        import keras

        self.check(layout)
        matrix = keras.Input(shape=(layout.width,), name="features")
        channels = [(one, start) for one, start in layout.placed if one.length is not None]
        facts = [(one, start) for one, start in layout.placed if one.length is None]
        steps = [self._channel(matrix, feature, start) for feature, start in channels]
        tensor = keras.layers.Concatenate()(steps) if len(steps) > 1 else steps[0]
        mask = _mask(matrix, *channels[0])
        for number, units in enumerate(self.units):
            layer = self._recurrent(units, sequences=number + 1 < len(self.units))
            # Handed to every layer: cutting and joining do not pass a mask on.
            tensor = layer(tensor, mask=mask)
            if self.dropout:
                tensor = keras.layers.Dropout(self.dropout)(tensor)
        if facts:
            joined = embedding.flat(matrix, facts, self.embeddings)
            tensor = keras.layers.Concatenate()([tensor, joined])
        layers = head.hidden_layers(self.hidden, activation=self.activation, dropout=self.dropout)
        layers.append(head.output_layer(self.task, self.classes, layout))
        return keras.Model(matrix, head.applied(layers, tensor), name="rnn")

    def identity(self) -> dict[str, Any]:
        return {"network": "RNN", **asdict(self)}

    def indices(self, columns: Sequence[ColumnInfo]) -> dict[str, int]:
        return embedding.index_columns("RNN", columns, self.embeddings, self.cardinalities)

    def _channel(self, matrix: Any, feature: Feature, start: int) -> Any:
        """Return one array column as [rows, steps, numbers of a step]."""
        import keras

        if feature.cardinality is not None:
            return embedding.embedded(matrix, feature, start, self.embeddings)
        values = matrix[:, start : start + feature.values]
        return keras.layers.Reshape((feature.values, 1))(values)

    def _recurrent(self, units: int, *, sequences: bool) -> Any:
        import keras

        layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[self.cell]
        recurrent = layer(units, return_sequences=sequences)
        return keras.layers.Bidirectional(recurrent) if self.bidirectional else recurrent


def _mask(matrix: Any, feature: Feature, start: int) -> Any:
    """Return which steps a sequence has [rows, steps], or None where all have all."""
    import keras

    if not feature.padded:
        return None
    length = matrix[:, start + feature.values : start + feature.width]
    ones = keras.ops.ones_like(matrix[:, start : start + feature.values])
    # Numbers every step from 1: no constant, which a saved model would have to hold.
    return keras.ops.less_equal(keras.ops.cumsum(ones, axis=1), length)
