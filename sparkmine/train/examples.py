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
    *,
    steps: int,
    width: int,
    targets: int,
    weighted: bool = False,
) -> tf.data.Dataset:
    """Return `steps` float32 batches: x [rows, width], y [rows, targets], weights [rows] if any.

    `Dataset.from_generator` would do the same with several times the work for each batch. Here
    TensorFlow takes the memory of aligned arrays over.
    """
    shapes = [[None, width], [None, targets], *([[None]] if weighted else [])]
    begun: Iterator[tuple[Any, ...]] = iter(())

    def following(step: int) -> tuple[Any, ...]:
        nonlocal begun
        if step == 0:
            begun = batches()
        return next(begun)

    def example(step: Any) -> tuple[Any, ...]:
        made = tf.numpy_function(following, [step], [tf.float32] * len(shapes))
        for one, shape in zip(made, shapes, strict=True):
            one.set_shape(shape)
        return tuple(made)

    return tf.data.Dataset.range(steps).map(example).prefetch(2)


class Examples:
    """The training batches of one rank as (x, y) or (x, y, weights), as Keras wants them."""

    def __init__(
        self,
        job: Job,
        loader: Loader,
        weights: RowWeights,
        task: str,
        advance: Callable[[], None],
    ) -> None:
        """`advance` is called with every batch."""
        self._advance = advance
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

        return dataset(
            batches,
            steps=(last - first) * self._loader.steps(rest),
            width=self._width,
            targets=self._width if self._rebuilds else self._labels,
            weighted=bool(self._weights),
        )

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
            self._advance()
            example = features, features if self._rebuilds else targets[:, : self._labels]
            yield (*example, self._weights.of(targets)) if self._weights else example
