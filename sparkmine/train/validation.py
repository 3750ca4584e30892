"""Figures over the validation rows of a fit. Runs in the rank's process only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from sparkmine.train import metrics
from sparkmine.train.job import Job
from sparkmine.train.loader import Blocks, validation_batches
from sparkmine.train.own_metrics import OwnMetrics


class Validation:
    """Figures over all validation rows, shared unequally by the ranks.

    While the ranks predict there is no collective, so that none waits for another; afterwards the
    sums are added and the predictions are put together (8 bytes a row), so the figures are those
    of one process.
    """

    def __init__(
        self,
        job: Job,
        model: Any,
        task: str,
        classes: int | None,
        own: OwnMetrics,
        advance: Callable[[], None],
    ) -> None:
        """`advance` is called with every batch."""
        assert job.validation is not None
        self._advance = advance
        self._own = own
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
            own.update(wanted, output)
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
        """Return `loss`, the figures of the task and the model's own over all rows."""
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
            self._advance()
            loss, output = self._step(tf.constant(x), tf.constant(y))
            summed += float(loss) * len(y)
            labels.append(y)
            outputs.append(output.numpy())
        total = hvd.allreduce(tf.constant(summed, tf.float64), op=hvd.Sum, name="validation.loss")
        score = _gathered(outputs, "validation.outputs")
        label = _gathered(labels, "validation.labels") if self._labels else score[:, :0]
        found = metrics.figures(self._task, label, score, self._labels)
        own = self._own.figures(self._own.sums())
        self._own.reset()
        return {"loss": float(total) / len(score), **found, **own}


def _gathered(parts: list[np.ndarray[Any, Any]], name: str) -> np.ndarray[Any, Any]:
    """Return the rows of all ranks, in the order of ranks."""
    rows: np.ndarray[Any, Any] = hvd.allgather(
        tf.constant(np.concatenate(parts)), name=name
    ).numpy()
    return rows
