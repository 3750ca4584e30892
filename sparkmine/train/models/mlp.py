"""Multi-layer perceptron: dense layers over a matrix of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.train.models import embedding, head
from sparkmine.train.models.base import Network, Task

if TYPE_CHECKING:
    import keras

    from sparkmine.recipe.columns import ColumnInfo
    from sparkmine.train.layout import Layout


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """Dense layers, each followed by batch normalisation, activation and dropout as asked.

    Batch normalisation stands before the activation (Ioffe and Szegedy 2015), dropout after it
    (Srivastava et al. 2014). The output is a sigmoid (`binary`), a softmax over `classes`
    (`multiclass`), a sigmoid for each label column (`multilabel`) or one linear unit
    (`regression`). `l1` and `l2` penalise the kernels of the
    hidden layers.

    Index columns are embedded: those that a recipe made (`OrdinalIndex`), and those named here.
    `embeddings` gives the length of a column's vectors (half its cardinality, at most 50, for
    those left out), `cardinalities` how many values a column has that no recipe made.
    """

    hidden: Sequence[int] = (64,)
    activation: str = "relu"
    dropout: float = 0.0
    batch_normalisation: bool = False
    l1: float = 0.0
    l2: float = 0.0
    embeddings: Mapping[str, int] = field(default_factory=dict)
    cardinalities: Mapping[str, int] = field(default_factory=dict)
    task: Task = "binary"
    classes: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        head.check_sizes("MLP", "hidden", self.hidden)
        head.check_dropout("MLP", self.dropout)
        if self.l1 < 0.0 or self.l2 < 0.0:
            raise ConfigError(f"MLP l1={self.l1}, l2={self.l2}: must not be negative")
        head.check_sizes("MLP", "embeddings", tuple(self.embeddings.values()))
        head.check_task("MLP", self.task, self.classes)

    def build(self, layout: Layout) -> keras.Model:
        import keras

        layers = head.hidden_layers(
            self.hidden,
            activation=self.activation,
            dropout=self.dropout,
            batch_normalisation=self.batch_normalisation,
            penalty=self._penalty(),
        )
        layers.append(head.output_layer(self.task, self.classes, layout))
        matrix = keras.Input(shape=(layout.width,), name="features")
        if all(column.cardinality is None for column in layout.columns):
            # A plain chain, which scores without TensorFlow.
            return keras.Sequential([matrix, *layers], name="mlp")
        joined = embedding.flat(matrix, layout.placed, self.embeddings)
        return keras.Model(matrix, head.applied(layers, joined), name="mlp")

    def identity(self) -> dict[str, Any]:
        return {"network": "MLP", **asdict(self), "hidden": list(self.hidden)}

    def indices(self, columns: Sequence[ColumnInfo]) -> dict[str, int]:
        return embedding.index_columns("MLP", columns, self.embeddings, self.cardinalities)

    def _penalty(self) -> Any:
        import keras

        if not (self.l1 or self.l2):
            return None
        return keras.regularizers.L1L2(l1=self.l1, l2=self.l2)
