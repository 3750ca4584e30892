"""Figures over the validation rows of a fit. Runs in the rank's process only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from sparkmine.train import metrics
from sparkmine.train.job import Job
from sparkmine.train.loaded import rows_at_once
from sparkmine.train.loader import Blocks, validation_batches
from sparkmine.train.own_metrics import OwnMetrics, check_room

# Rows that are predicted together, at most; fewer where the network's layers are wide.
_ROWS = 4096


class Validation:
    """Figures over all validation rows, shared unequally by the ranks.

    While the ranks predict there is no collective, so that none waits for another; afterwards the
    sums are added and the predictions are put together (8 bytes a row), so the figures are those
    of one process. For metrics that are not sums all outputs of the network are put together.
    """

    def __init__(
        self,
        job: Job,
        model: Any,
        task: str,
        classes: int | None,
        own: OwnMetrics,
        units: int,
        advance: Callable[[], None],
    ) -> None:
        """Prepare the step, of a model with so many `units` of output.

        `advance` is called with every batch.

        Raises:
            ConfigError: a metric needs all rows on every rank, and they are too many.
        """
        assert job.validation is not None
        self._advance = advance
        self._own = own
        self._rows = job.validation.rows
        # Every row counts once: the figures are those of the rows as they are.
        layout = replace(job.layout, weight=None)
        self._blocks = Blocks(job.validation, layout, classes=classes, cache_bytes=job.cache_bytes)
        self._batch_size = rows_at_once(model, most=_ROWS)
        self._task = task
        self._labels = job.layout.labels
        self._rebuilds = task == "reconstruction"
        # What the figures need is less than what the network gives.
        self._all = bool(own.of_validation)
        targets = job.layout.width if self._rebuilds else len(self._labels)
        check_room(own.of_validation, sum(self._rows), targets + units)
        self._widths = (
            (targets, units) if self._all else (len(self._labels), max(len(self._labels), 1))
        )

        def step(features: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            output = model(features, training=False)
            wanted = features if self._rebuilds else labels
            loss = model.compute_loss(features, wanted, output, None, training=False)
            own.update(wanted, output)
            return loss, tf.cast(
                output if self._all else _reduced(task, output, wanted), tf.float32
            )

        signature = [
            tf.TensorSpec([None, job.layout.width], tf.float32),
            tf.TensorSpec([None, len(job.layout.labels)], tf.float32),
        ]
        self._step = tf.function(step, input_signature=signature)

    def run(self) -> dict[str, float | None]:
        """Return `loss`, the figures of the task and the model's own over all rows."""
        summed = 0.0
        # A rank may have no rows.
        targets, outputs = ([np.empty((0, width), np.float32)] for width in self._widths)
        for x, y in validation_batches(
            self._blocks,
            self._rows,
            ranks=hvd.size(),
            rank=hvd.rank(),
            batch_size=self._batch_size,
        ):
            self._advance()
            loss, output = self._step(tf.constant(x), tf.constant(y))
            summed += float(loss) * len(y)
            targets.append(x if self._rebuilds and self._all else y)
            outputs.append(output.numpy())
        total = hvd.allreduce(tf.constant(summed, tf.float64), op=hvd.Sum, name="validation.loss")
        output = _gathered(outputs, "validation.outputs")
        target = _gathered(targets, "validation.targets") if self._widths[0] else output[:, :0]
        own = self._own.figures(self._own.sums())
        if self._all:
            batches = ((target[low:high], output[low:high]) for low, high in self._cuts())
            own.update(self._own.figures_of(batches))
            output = _reduced(self._task, tf.constant(output), tf.constant(target)).numpy()
        self._own.reset()
        found = metrics.figures(self._task, target, output, self._labels)
        return {"loss": float(total) / len(output), **found, **own}

    def _cuts(self) -> Iterator[tuple[int, int]]:
        """The batches that one process would make of all rows: the first row and the end."""
        first = 0
        for rows in self._rows:
            for start in range(first, first + rows, self._batch_size):
                yield start, min(start + self._batch_size, first + rows)
            first += rows


def _reduced(task: str, output: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """What the figures of the task need of the network's output."""
    if task == "multiclass":
        return tf.cast(tf.argmax(output, axis=-1)[:, None], tf.float32)
    if task == "reconstruction":
        return tf.reduce_mean((output - wanted) ** 2, axis=1, keepdims=True)
    return output


def _gathered(parts: list[np.ndarray[Any, Any]], name: str) -> np.ndarray[Any, Any]:
    """Return the rows of all ranks, in the order of ranks."""
    rows: np.ndarray[Any, Any] = hvd.allgather(
        tf.constant(np.concatenate(parts)), name=name
    ).numpy()
    return rows
