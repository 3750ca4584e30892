"""The training loop of one rank. Runs in the rank's process only."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from sparkmine.errors import ConfigError, SparkmineError
from sparkmine.train import checkpoint, metrics, optimizer
from sparkmine.train.control import Control
from sparkmine.train.dense import DenseChain
from sparkmine.train.job import Job
from sparkmine.train.loader import Blocks, Loader, validation_batches
from sparkmine.train.weighting import RowWeights

log = logging.getLogger(__name__)

LOSSES = {
    "binary": "binary_crossentropy",
    "multiclass": "sparse_categorical_crossentropy",
    "multilabel": "binary_crossentropy",
    "regression": "mean_squared_error",
    "reconstruction": "mean_squared_error",
}
_STEP_REPORT_SECONDS = 0.5


def train(job: Job, control: Control, folder: Path) -> dict[str, Any]:
    """Train `job` together with the other ranks; rank 0 leaves the model in `folder`.

    Returns:
        `history`, `weights_hash`, `task` and `classes`.
    """
    keras.utils.set_random_seed(derived_seed(job.seed, 0))
    model = job.network.build(job.layout)
    if not model.built:
        model.build((None, job.layout.width))
    task, classes = _task(job, model)
    _compile(job, model, task)
    blocks = Blocks(job.train, job.layout, classes=classes, cache_bytes=job.cache_bytes)
    weights = RowWeights(job.layout, job.class_weight, classes)
    loader = Loader(blocks, job.order, rank=hvd.rank(), batch_size=job.batch_size)
    done = _resume(job, model)
    validation = None
    if job.validation is not None:
        validation = Validation(job, model, task, classes)
    epoch_end = EpochEnd(job, model, control, validation, done, loader.steps)
    if len(done) < job.epochs:
        raised: list[SparkmineError] = []
        try:
            model.fit(
                _dataset(job, loader, len(done), weights, task, raised),
                epochs=job.epochs,
                initial_epoch=len(done),
                steps_per_epoch=loader.steps,
                callbacks=[epoch_end],
                verbose=0,
            )
        except tf.errors.OpError:
            # TensorFlow makes its own error, of many lines, of what the loader raises.
            if raised:
                raise raised[0] from None
            raise
        # Keras may finalise (moving averages of weights) after the last epoch's end.
    digest = weights_hash(model)
    _same_on_all_ranks(digest)
    if hvd.rank() == 0:
        _save(model, folder)
    return {
        "history": epoch_end.history,
        "weights_hash": digest.hex(),
        "task": task,
        "classes": classes,
    }


class EpochEnd(keras.callbacks.Callback):
    """What happens around every epoch, in the same order on every rank.

    Before it: the random states. After it: the batch-normalisation statistics become their mean
    over the ranks, validation, the check that all ranks hold the same weights, the checkpoint, the
    report.
    """

    def __init__(
        self,
        job: Job,
        model: Any,
        control: Control,
        validation: Validation | None,
        history: list[dict[str, Any]],
        steps: int,
    ) -> None:
        super().__init__()
        self.history = history
        self._job = job
        self._network = model
        self._control = control
        self._validation = validation
        self._steps = steps
        self._started = self._reported = 0.0
        self._epoch = len(history)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._started = time.monotonic()
        _reseed(self._network, self._job.seed, hvd.rank(), epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if hvd.rank() != 0 or now - self._reported < _STEP_REPORT_SECONDS:
            return
        self._reported = now
        step = batch + 1
        seconds = max(now - self._started, 1e-9)
        left = (self._job.epochs - self._epoch) * self._steps - step
        rows = min(step * self._job.batch_size, self._job.order.rows_per_rank)
        self._control.send(
            "step",
            epoch=self._epoch + 1,
            epochs=self._job.epochs,
            step=step,
            steps=self._steps,
            loss=_number((logs or {}).get("loss")),
            rows_per_second=rows * self._job.ranks / seconds,
            seconds_left=left * seconds / step,
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = float(_averaged(float((logs or {})["loss"])))
        trained = time.monotonic() - self._started
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in epoch {epoch + 1}: lower the learning rate, or scale the "
                "features"
            )
        _average_moving_statistics(self._network)
        record: dict[str, Any] = {"epoch": epoch + 1, "loss": loss}
        if self._validation is not None:
            figures = self._validation.run()
            record.update({f"val_{name}": _number(value) for name, value in figures.items()})
        _same_on_all_ranks(weights_hash(self._network))
        record["seconds"] = time.monotonic() - self._started
        record["rows_per_second"] = self._job.order.rows_per_rank * self._job.ranks / trained
        self.history.append(record)
        if self._job.checkpoint is not None and hvd.rank() == 0:
            state = checkpoint.Checkpoint(
                identity=self._job.identity(),
                epoch=epoch + 1,
                arrays=[np.asarray(variable) for variable in _state(self._network)],
                history=self.history,
            )
            checkpoint.save(Path(self._job.checkpoint), state)
        if hvd.rank() == 0:
            self._control.send("epoch", epochs=self._job.epochs, **record)


class Validation:
    """Figures over all validation rows, shared unequally by the ranks.

    While the ranks predict there is no collective, so that none waits for another; afterwards the
    sums are added and the predictions are put together (8 bytes a row), so the figures are those
    of one process.
    """

    def __init__(self, job: Job, model: Any, task: str, classes: int | None) -> None:
        assert job.validation is not None
        self._rows = job.validation.rows
        # Every row counts once: the figures are those of the rows as they are.
        layout = replace(job.layout, weight=None)
        self._blocks = Blocks(job.validation, layout, classes=classes, cache_bytes=job.cache_bytes)
        self._batch_size = max(job.batch_size, 4096)
        self._task = task
        self._labels = job.layout.labels

        def step(features: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            output = model(features, training=False)
            wanted = features if task == "reconstruction" else labels
            loss = model.compute_loss(features, wanted, output, None, training=False)
            if task == "multiclass":
                output = tf.argmax(output, axis=-1)[:, None]
            if task == "reconstruction":
                output = tf.reduce_mean((output - features) ** 2, axis=1, keepdims=True)
            return loss, tf.cast(output, tf.float32)

        signature = [
            tf.TensorSpec([None, job.layout.width], tf.float32),
            tf.TensorSpec([None, len(job.layout.labels)], tf.float32),
        ]
        self._step = tf.function(step, input_signature=signature)

    def run(self) -> dict[str, float | None]:
        """Return `loss` and the figures of the task over all rows."""
        summed = 0.0
        labels = [np.empty((0, len(self._labels)), np.float32)]
        outputs = [np.empty((0, max(len(self._labels), 1)), np.float32)]
        for x, y in validation_batches(
            self._blocks,
            self._rows,
            ranks=hvd.size(),
            rank=hvd.rank(),
            batch_size=self._batch_size,
        ):
            loss, output = self._step(tf.constant(x), tf.constant(y))
            summed += float(loss) * len(y)
            labels.append(y)
            outputs.append(output.numpy())
        total = hvd.allreduce(tf.constant(summed, tf.float64), op=hvd.Sum, name="validation.loss")
        score = _gathered(outputs, "validation.outputs")
        label = _gathered(labels, "validation.labels") if self._labels else score[:, :0]
        found = metrics.figures(self._task, label, score, self._labels)
        return {"loss": float(total) / len(score), **found}


def derived_seed(*words: int) -> int:
    """Return a seed that is a function of `words`, such as (seed, rank, epoch)."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def weights_hash(model: Any) -> bytes:
    """Return the SHA-256 of the variables of model and optimizer, random states left out."""
    digest = hashlib.sha256()
    for variable in _state(model):
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.digest()


def _compile(job: Job, model: Any, task: str) -> None:
    """Compile, unless the user's function did; then only set what reduction needs."""
    if model.compiled and model.optimizer is not None:
        if job.learning_rate is not None:
            model.optimizer.learning_rate = job.learning_rate
        model.jit_compile = False
    else:
        model.compile(
            optimizer=optimizer.make(job.optimizer, job.learning_rate),
            loss=LOSSES[task],
            jit_compile=False,  # XLA cannot compile Horovod's operations
        )
    optimizer.distribute(model.optimizer)
    model.optimizer.build(model.trainable_variables)


def _task(job: Job, model: Any) -> tuple[str, int | None]:
    """Return task and number of classes, from the network or from the model's last layer."""
    units = int(model.output_shape[-1])
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", "linear")
    if job.network.task == "reconstruction":
        if units != job.layout.width:
            raise ConfigError(f"{job.layout.width} inputs, but the model has {units} outputs")
        return "reconstruction", None
    inferred = {"sigmoid": "binary", "softmax": "multiclass"}.get(activation, "regression")
    labels = len(job.layout.labels)
    task = job.network.task or ("multilabel" if labels > 1 else inferred)
    if task != "multiclass" and units != labels:
        raise ConfigError(
            f"a {task} model of {labels} labels needs {labels} outputs, this one has {units}"
        )
    if task == "multiclass":
        if job.network.classes not in (None, units):
            raise ConfigError(f"{job.network.classes} classes, but the model has {units} outputs")
        return task, units
    return task, None if task == "regression" else 2


def _dataset(
    job: Job,
    loader: Loader,
    first: int,
    weights: RowWeights,
    task: str,
    raised: list[SparkmineError],
) -> tf.data.Dataset:
    """Return the batches of all epochs as (x, y) or (x, y, weights), as Keras wants them.

    What the loader refuses is put into `raised` too.
    """
    labels = len(job.layout.labels)
    rebuilds = task == "reconstruction"

    def batches() -> Iterator[tuple[Any, ...]]:
        try:
            for epoch in range(first, job.epochs):
                for features, targets in loader.batches(epoch):
                    example = features, features if rebuilds else targets[:, :labels]
                    yield (*example, weights.of(targets)) if weights else example
        except SparkmineError as error:
            raised.append(error)
            raise

    signature: tuple[Any, ...] = (
        tf.TensorSpec([None, job.layout.width], tf.float32),
        tf.TensorSpec([None, job.layout.width if rebuilds else labels], tf.float32),
    )
    if weights:
        signature = (*signature, tf.TensorSpec([None], tf.float32))
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)


def _resume(job: Job, model: Any) -> list[dict[str, Any]]:
    """Give all ranks the weights of rank 0, from the checkpoint if there is one.

    Returns:
        The history of the epochs that are done.
    """
    found = None
    if job.checkpoint is not None and hvd.rank() == 0:
        found = checkpoint.newest(Path(job.checkpoint), job.identity(), job.epochs)
    variables = _state_variables(model)
    if found is not None:
        log.info("going on after epoch %d of %s", found.epoch, job.checkpoint)
        for variable, array in zip(variables, found.arrays, strict=True):
            variable.assign(array)
    if hvd.size() > 1:
        for number, variable in enumerate(variables):
            value = tf.convert_to_tensor(variable.value)
            variable.assign(hvd.broadcast(value, root_rank=0, name=f"state.{number}"))
    return _from_first_rank(found.history if found is not None else [])


def _from_first_rank(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rank 0's `history`, sent as JSON: Horovod's own object broadcast would unpickle."""
    if hvd.size() == 1:
        return history
    text = np.frombuffer(json.dumps(history).encode(), np.uint8)
    mine = text if hvd.rank() == 0 else text[:0]
    gathered = hvd.allgather(tf.constant(mine), name="history").numpy()
    sent: list[dict[str, Any]] = json.loads(gathered.tobytes())
    return sent


def _state_variables(model: Any) -> list[Any]:
    """The variables that all ranks must share: all but the states of random generators."""
    shared = [v for v in model.variables if not _is_random_state(v)]
    return [*shared, *model.optimizer.variables]


def _state(model: Any) -> list[np.ndarray[Any, Any]]:
    return [variable.numpy() for variable in _state_variables(model)]


def _is_random_state(variable: Any) -> bool:
    return bool("seed_generator_state" in variable.path)


def _reseed(model: Any, seed: int, rank: int, epoch: int) -> None:
    """Set dropout's generators by (seed, rank, epoch); within an epoch they count the steps."""
    generators = [v for v in model.variables if _is_random_state(v)]
    for number, variable in enumerate(generators):
        words = np.random.SeedSequence([seed, rank, epoch, number]).generate_state(
            int(np.prod(variable.shape))
        )
        # The counting word starts at 0, so that a step's state can be computed, not carried.
        words[1:] = 0
        variable.assign(words.reshape(tuple(variable.shape)).astype(variable.dtype))


def _average_moving_statistics(model: Any) -> None:
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


def _same_on_all_ranks(digest: bytes) -> None:
    if hvd.size() == 1:
        return
    mine = tf.constant(np.frombuffer(digest, np.uint8)[None, :])
    everyone = hvd.allgather(mine, name="weights.hash").numpy()
    differing = np.flatnonzero((everyone != everyone[0]).any(axis=1)).tolist()
    if differing:
        raise ArithmeticError(f"the weights of ranks {differing} differ from those of rank 0")


def _gathered(parts: list[np.ndarray[Any, Any]], name: str) -> np.ndarray[Any, Any]:
    """Return the rows of all ranks, in the order of ranks."""
    rows: np.ndarray[Any, Any] = hvd.allgather(
        tf.constant(np.concatenate(parts)), name=name
    ).numpy()
    return rows


def _averaged(value: float) -> Any:
    if hvd.size() == 1:
        return value
    return hvd.allreduce(tf.constant(value, tf.float64), op=hvd.Average, name="loss")


def _save(model: Any, folder: Path) -> None:
    """Save without the optimizer: a model that scores does not need its state."""
    chain = DenseChain.of(model)
    if chain is not None:
        (folder / "dense.npz").write_bytes(chain.to_bytes())
    with optimizer.plain(model.optimizer):
        model.optimizer = None
        model.compiled = False
        model.save(folder / "model.keras")


def _number(value: Any) -> float | None:
    """Return a float that JSON can hold, or None."""
    if value is None or not math.isfinite(float(value)):
        return None
    return float(value)
