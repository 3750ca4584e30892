"""Multi-layer perceptron: dense layers over a matrix of numeric features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.train.models.base import TASKS, Network, Task

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """Dense layers, each followed by batch normalisation, activation and dropout as asked.

    Batch normalisation stands before the activation (Ioffe and Szegedy 2015), dropout after it
    (Srivastava et al. 2014). The output is a sigmoid (`binary`), a softmax over `classes`
    (`multiclass`) or one linear unit (`regression`). `l1` and `l2` penalise the kernels of the
    hidden layers.
    """

    hidden: Sequence[int] = (64,)
    activation: str = "relu"
    dropout: float = 0.0
    batch_normalisation: bool = False
    l1: float = 0.0
    l2: float = 0.0
    task: Task = "binary"
    classes: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if any(not isinstance(units, int) or units < 1 for units in self.hidden):
            raise ConfigError(f"MLP hidden={list(self.hidden)}: every layer needs at least 1 unit")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"MLP dropout={self.dropout}: must be at least 0 and below 1")
        if self.l1 < 0.0 or self.l2 < 0.0:
            raise ConfigError(f"MLP l1={self.l1}, l2={self.l2}: must not be negative")
        if self.task not in TASKS:
            raise ConfigError(f"MLP task={self.task!r}: use one of {', '.join(TASKS)}")
        if (self.task == "multiclass") != (self.classes is not None):
            raise ConfigError("MLP: classes is needed for task='multiclass', and only for it")
        if self.classes is not None and self.classes < 2:
            raise ConfigError(f"MLP classes={self.classes}: at least 2")

    def build(self, width: int) -> keras.Model:
        import keras

        layers: list[Any] = [keras.Input(shape=(width,), name="features")]
        for units in self.hidden:
            layers.append(
                keras.layers.Dense(
                    units,
                    # The normalisation's own offset makes a bias redundant.
                    use_bias=not self.batch_normalisation,
                    kernel_initializer="he_normal" if self.activation == "relu" else None,
                    kernel_regularizer=self._penalty(),
                )
            )
            if self.batch_normalisation:
                layers.append(keras.layers.BatchNormalization())
            layers.append(keras.layers.Activation(self.activation))
            if self.dropout:
                layers.append(keras.layers.Dropout(self.dropout))
        last = {"binary": "sigmoid", "multiclass": "softmax", "regression": "linear"}[self.task]
        layers.append(keras.layers.Dense(self.classes or 1, activation=last, name="output"))
        return keras.Sequential(layers, name="mlp")

    def identity(self) -> dict[str, Any]:
        return {"network": "MLP", **asdict(self), "hidden": list(self.hidden)}

    def _penalty(self) -> Any:
        import keras

        if not (self.l1 or self.l2):
            return None
        return keras.regularizers.L1L2(l1=self.l1, l2=self.l2)
