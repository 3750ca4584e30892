"""Any Keras optimizer, with its gradients averaged over the ranks before they are applied.

Horovod's own wrappers do not work with Keras 3. Here the optimizer's class is replaced by a
subclass whose `apply` reduces first; the state stays where it was, and gradient clipping and
weight decay, which Keras does inside `apply`, act on the averaged gradients. While a model is
saved, the class is put back, so that files hold a plain Keras optimizer.

A gradient that is not finite stops its rank before the reduction: afterwards every rank would have
it, and nobody could say which rows it came from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sparkmine.errors import ConfigError
from sparkmine.train.optimizer_choice import OFF

_NOT_FINITE = (
    "a gradient of this rank is NaN or infinite: look for extreme values in the features, scale "
    "them, or lower the learning rate"
)
# What is copied side by side for one reduction.
_PACK_BYTES = 64 << 20


def make(name: str, settings: Mapping[str, Any], learning_rate: float | None) -> Any:
    """Return a Keras optimizer by its name (`adam`, `sgd`, ...) and settings."""
    import keras

    config = (
        dict(settings) if learning_rate is None else {**settings, "learning_rate": learning_rate}
    )
    try:
        return keras.optimizers.get({"class_name": name, "config": config})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"optimizer {name!r}: {error}") from None


def distribute(optimizer: Any) -> Any:
    """Make `optimizer` average its gradients over all ranks, and return it.

    Raises:
        ConfigError: a loss-scale optimizer, which would skip the reduction on one rank alone; or
            one that keeps averages of weights, which Keras puts in their place when an epoch that
            was taken up again ends, or that collects gradients.
    """
    import keras

    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ConfigError("mixed precision is not supported: train in float32")
    for key, off in OFF.items():
        if getattr(optimizer, key, off) != off:
            raise ConfigError(
                f"optimizer {type(optimizer).__name__}: {key} is not supported here; leave it out"
            )
    if not getattr(type(optimizer), "reduces_gradients", False):
        object.__setattr__(optimizer, "__class__", _reducing(type(optimizer)))
    return optimizer


@contextlib.contextmanager
def plain(optimizer: Any) -> Iterator[None]:
    """Give `optimizer` its own class back for as long as the context lasts."""
    reducing = type(optimizer)
    base = reducing.__mro__[1] if getattr(reducing, "reduces_gradients", False) else reducing
    object.__setattr__(optimizer, "__class__", base)
    try:
        yield
    finally:
        object.__setattr__(optimizer, "__class__", reducing)


def _reducing(base: type) -> type:
    import horovod.tensorflow as hvd
    import tensorflow as tf

    def reduced(grads: list[Any]) -> list[Any]:
        """Average gradients of one type as one vector, which takes one negotiation."""
        vector = tf.concat([tf.reshape(grad, [-1]) for grad in grads], axis=0)
        # A sum is enough: NaN and infinity survive it.
        finite = tf.math.is_finite(tf.reduce_sum(vector))
        with tf.control_dependencies([tf.debugging.Assert(finite, [_NOT_FINITE])]):
            vector = tf.identity(vector)
        if hvd.size() > 1:
            vector = hvd.allreduce(vector, op=hvd.Average)
        pieces = tf.split(vector, [grad.shape.num_elements() for grad in grads])
        return [tf.reshape(piece, g.shape) for piece, g in zip(pieces, grads, strict=True)]

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        grads = list(grads)
        moved = self._trainable_variables if trainable_variables is None else trainable_variables
        dense = {}
        for number, (grad, variable) in enumerate(zip(grads, moved, strict=True)):
            if grad is not None:
                # Sparse gradients (embeddings) are made dense: Horovod 0.28 mixes up their shapes.
                dense[number] = tf.convert_to_tensor(grad)
                dense[number].set_shape(variable.shape)
        for numbers in _packed(dense):
            for number, grad in zip(numbers, reduced([dense[n] for n in numbers]), strict=True):
                grads[number] = grad
        base.apply(self, grads, trainable_variables)  # type: ignore[attr-defined]

    return type(f"Reducing{base.__name__}", (base,), {"apply": apply, "reduces_gradients": True})


def _packed(gradients: dict[int, Any]) -> list[list[int]]:
    """Return the numbers of gradients that are reduced together: of one type, not too large."""
    packs: list[list[int]] = []
    kind, size = None, 0
    for number, gradient in gradients.items():
        added = gradient.shape.num_elements() * gradient.dtype.size
        if not packs or gradient.dtype != kind or size + added > _PACK_BYTES:
            packs.append([])
            kind, size = gradient.dtype, 0
        packs[-1].append(number)
        size += added
    return packs
