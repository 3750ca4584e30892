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
from collections.abc import Iterator
from typing import Any

from sparkmine.errors import ConfigError

_NOT_FINITE = (
    "a gradient of this rank is NaN or infinite: look for extreme values in the features, scale "
    "them, or lower the learning rate"
)


def make(name: str, learning_rate: float | None) -> Any:
    """Return a Keras optimizer by its name (`adam`, `sgd`, ...)."""
    import keras

    config = {} if learning_rate is None else {"learning_rate": learning_rate}
    try:
        return keras.optimizers.get({"class_name": name, "config": config})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"optimizer {name!r}: {error}") from None


def distribute(optimizer: Any) -> Any:
    """Make `optimizer` average its gradients over all ranks, and return it.

    Raises:
        ConfigError: a loss-scale optimizer, which would skip the reduction on one rank alone.
    """
    import keras

    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ConfigError("mixed precision is not supported: train in float32")
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

    def check_finite(grads: list[Any]) -> Any:
        # A sum per gradient is enough: NaN and infinity survive it.
        values = (g.values if isinstance(g, tf.IndexedSlices) else g for g in grads)
        finite = [tf.math.is_finite(tf.reduce_sum(value)) for value in values]
        return tf.debugging.Assert(tf.reduce_all(finite), [_NOT_FINITE])

    def apply(self: Any, grads: Any, trainable_variables: Any = None) -> None:
        grads = list(grads)
        known = [number for number, grad in enumerate(grads) if grad is not None]
        if known:
            with tf.control_dependencies([check_finite([grads[number] for number in known])]):
                for number in known:
                    grads[number] = tf.identity(grads[number])
        if hvd.size() > 1 and known:
            # Sparse gradients (embeddings) are made dense: Horovod 0.28 mixes up their shapes.
            dense = [tf.convert_to_tensor(grads[number]) for number in known]
            reduced = hvd.grouped_allreduce(dense, op=hvd.Average)
            for number, grad in zip(known, reduced, strict=True):
                grads[number] = grad
        base.apply(self, grads, trainable_variables)  # type: ignore[attr-defined]

    return type(f"Reducing{base.__name__}", (base,), {"apply": apply, "reduces_gradients": True})
