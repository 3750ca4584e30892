"""The state of a network in training: what all ranks share, and what each has for itself."""

from __future__ import annotations

import hashlib
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from sparkmine.train.adversarial import Adversarial
from sparkmine.train.checkpoint import Begun

Arrays = list[np.ndarray[Any, Any]]


def hash_of(values: Arrays) -> bytes:
    """Return the SHA-256 of what `arrays` returned."""
    digest = hashlib.sha256()
    for array in values:
        digest.update(array.tobytes())
    return digest.digest()


def shared_variables(model: Any) -> list[Any]:
    """The variables that all ranks must share: all but the states of random generators."""
    return [*weights(model), *(v for one, _ in optimizers(model) for v in one.variables)]


def weights(model: Any) -> list[Any]:
    """Those of them that are the model's own, without the optimizers'."""
    return [v for v in model.variables if not _is_random_state(v)]


def optimizers(model: Any) -> list[tuple[Any, list[Any]]]:
    """The optimizers of a model, each with the variables that it moves."""
    if isinstance(model, Adversarial):
        return [
            (model.optimizer, model.generator.trainable_variables),
            (model.discriminator_optimizer, model.discriminator.trainable_variables),
        ]
    return [(model.optimizer, model.trainable_variables)]


def arrays(model: Any) -> Arrays:
    """The values of the variables that all ranks share, those of `weights` first."""
    return [variable.numpy() for variable in shared_variables(model)]


def _is_random_state(variable: Any) -> bool:
    return bool("seed_generator_state" in variable.path)


def random_states(model: Any) -> list[Any]:
    """The states of the network's random generators, such as dropout's: [key, draws] each."""
    return [variable for variable in model.variables if _is_random_state(variable)]


def reseed(model: Any, seed: int, rank: int, epoch: int, begun: Begun | None = None) -> None:
    """Set the generators by (seed, rank, epoch); within an epoch they count their draws."""
    for number, variable in enumerate(random_states(model)):
        words = np.random.SeedSequence([seed, rank, epoch, number]).generate_state(
            int(np.prod(variable.shape))
        )
        # The counting word starts at 0, so that a step's state can be computed, not carried.
        words[1:] = 0 if begun is None else begun.draws[number]
        variable.assign(words.reshape(tuple(variable.shape)).astype(variable.dtype))


def average_moving_statistics(model: Any) -> None:
    """Batch normalisation sees only its rank's rows; give every rank the mean of all."""
    if hvd.size() == 1:
        return
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    variables = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
    if not variables:
        return
    values = [tf.convert_to_tensor(v.value) for v in variables]
    reduced = hvd.grouped_allreduce(values, op=hvd.Average, name="moving")
    for variable, value in zip(variables, reduced, strict=True):
        variable.assign(value)


def check_equal(digest: bytes) -> None:
    """Raise ArithmeticError where a rank has another hash of its weights than rank 0."""
    if hvd.size() == 1:
        return
    mine = tf.constant(np.frombuffer(digest, np.uint8)[None, :])
    everyone = hvd.allgather(mine, name="weights.hash").numpy()
    differing = np.flatnonzero((everyone != everyone[0]).any(axis=1)).tolist()
    if differing:
        raise ArithmeticError(f"the weights of ranks {differing} differ from those of rank 0")
