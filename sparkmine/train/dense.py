"""Plain chains of dense layers as matrix products, so that scoring needs no TensorFlow.

TensorFlow costs every Python worker of a cluster its import (seconds) and half a gigabyte. A
chain of Dense, BatchNormalization, Activation and Dropout layers is a few products that NumPy's
BLAS does as well. Inference-time batch normalisation is a scale and an offset, and folds into one
step. Any other network is scored by Keras.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

# Rows that go through all layers together: what lies between the layers stays in a core's cache.
_ROWS = 2048


@dataclass(frozen=True)
class Step:
    """`kind` is `dense` (kernel, bias), `scale` (scale, offset) or the name of an activation."""

    kind: str
    arrays: tuple[Matrix, ...] = ()


@dataclass(frozen=True)
class DenseChain:
    """A network as steps on a float32 matrix [rows, width]."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, model: Any) -> Self | None:
        """Return a Keras model as a chain, or None where it is something else."""
        import keras

        if not isinstance(model, keras.Sequential) or model.compute_dtype != "float32":
            return None
        steps: list[Step] = []
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                continue
            # Exactly these classes: a subclass may compute anything.
            if type(layer) is keras.layers.Dense:
                weights = [np.asarray(weight) for weight in layer.get_weights()]
                steps.append(Step("dense", tuple(weights)))
            elif type(layer) is keras.layers.BatchNormalization and layer.axis in (-1, 1):
                steps.append(Step("scale", _folded(layer)))
            elif type(layer) is not keras.layers.Activation:
                return None
            if hasattr(layer, "activation"):
                name = getattr(layer.activation, "__name__", "")
                if name not in _ACTIVATIONS or keras.activations.get(name) is not layer.activation:
                    return None
                if name != "linear":
                    steps.append(Step(name))
        return cls(tuple(steps)) if len(model.input_shape) == 2 else None

    def __call__(self, features: Matrix) -> Matrix:
        """Return the output [rows, outputs]."""
        blocks = (features[at : at + _ROWS] for at in range(0, max(len(features), 1), _ROWS))
        return np.concatenate([self._block(block) for block in blocks])

    def _block(self, features: Matrix) -> Matrix:
        values, ours = features, False  # what is ours may be written over
        for step in self.steps:
            if step.kind == "dense":
                values, ours = values @ step.arrays[0], True
                if len(step.arrays) > 1:
                    values += step.arrays[1]
                continue
            if not ours:
                values, ours = values.copy(), True
            if step.kind == "scale":
                values *= step.arrays[0]
                values += step.arrays[1]
            else:
                _ACTIVATIONS[step.kind](values)
        return values

    def to_bytes(self) -> bytes:
        """Return the chain as an `.npz` file without objects."""
        arrays: dict[str, Any] = {
            f"{number}.{position}": array
            for number, step in enumerate(self.steps)
            for position, array in enumerate(step.arrays)
        }
        kinds = json.dumps([[step.kind, len(step.arrays)] for step in self.steps])
        stream = io.BytesIO()
        np.savez(stream, steps=np.frombuffer(kinds.encode(), np.uint8), **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Restore a chain from `to_bytes`."""
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            kinds = json.loads(stored["steps"].tobytes())
            return cls(
                tuple(
                    Step(kind, tuple(stored[f"{number}.{position}"] for position in range(count)))
                    for number, (kind, count) in enumerate(kinds)
                )
            )


def _folded(layer: Any) -> tuple[Matrix, Matrix]:
    mean = np.asarray(layer.moving_mean.numpy(), np.float64)
    scale = 1.0 / np.sqrt(np.asarray(layer.moving_variance.numpy(), np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * layer.gamma.numpy()
    offset = -mean * scale
    if layer.center:
        offset = offset + layer.beta.numpy()
    return scale.astype(np.float32), offset.astype(np.float32)


def _sigmoid(values: Matrix) -> None:
    # By tanh, which does not overflow; so do the tails of exp(-x) for large negative x.
    half = np.float32(0.5)
    values *= half
    np.tanh(values, out=values)
    values *= half
    values += half


def _softmax(values: Matrix) -> None:
    values -= values.max(axis=-1, keepdims=True)
    np.exp(values, out=values)
    values /= values.sum(axis=-1, keepdims=True)


def _leaky_relu(values: Matrix) -> None:
    # The slope that Keras gives it by this name.
    np.maximum(values, np.float32(0.2) * values, out=values)


# Each writes its values over those that it is given.
_ACTIVATIONS: dict[str, Callable[[Matrix], Any]] = {
    "linear": lambda values: values,
    "leaky_relu": _leaky_relu,
    "relu": lambda values: np.maximum(values, np.float32(0), out=values),
    "tanh": lambda values: np.tanh(values, out=values),
    "sigmoid": _sigmoid,
    "softmax": _softmax,
}
