"""The training batches of a rank as Keras wants them. Runs in the rank's process only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from sparkmine.errors import SparkmineError
from sparkmine.train.job import Job
from sparkmine.train.loader import Loader
from sparkmine.train.order import Rest
from sparkmine.train.weighting import RowWeights


def dataset(
    batches: Callable[[], Iterator[tuple[Any, ...]]],
    width: int,
    targets: int,
    *,
    weighted: bool = False,
) -> tf.data.Dataset:
    """Return float32 batches of (x [rows, width], y [rows, targets], weights [rows] if any)."""
    signature: tuple[Any, ...] = (
        tf.TensorSpec([None, width], tf.float32),
        tf.TensorSpec([None, targets], tf.float32),
    )
    if weighted:
        signature = (*signature, tf.TensorSpec([None], tf.float32))
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)


class Examples:
    """The training batches of one rank as (x, y) or (x, y, weights), as Keras wants them."""

    def __init__(self, job: Job, loader: Loader, weights: RowWeights, task: str) -> None:
        self._loader = loader
        self._weights = weights
        self._labels = len(job.layout.labels)
        self._rebuilds = task == "reconstruction"
        self._width = job.layout.width
        self._raised: SparkmineError | None = None

    def dataset(self, first: int, last: int, rest: Rest | None) -> tf.data.Dataset:
        """The batches of the epochs from `first` to before `last`, or of the rest of one."""

        def batches() -> Iterator[tuple[Any, ...]]:
            try:
                for epoch in range(first, last):
                    yield from self._batches(epoch, rest)
            except SparkmineError as error:
                self._raised = error
                raise

        targets = self._width if self._rebuilds else self._labels
        return dataset(batches, self._width, targets, weighted=bool(self._weights))

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """TensorFlow makes its own error, of many lines, of what the loader raises: raise that."""
        try:
            yield
        except tf.errors.OpError:
            if self._raised is not None:
                raise self._raised from None
            raise

    def _batches(self, epoch: int, rest: Rest | None) -> Iterator[tuple[Any, ...]]:
        for features, targets in self._loader.batches(epoch, rest):
            example = features, features if self._rebuilds else targets[:, : self._labels]
            yield (*example, self._weights.of(targets)) if self._weights else example
