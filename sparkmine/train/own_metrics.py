"""The metrics with which a user's function has compiled its model, over the rows of all ranks.

A rank's metric sees its rows alone. The variables of most of Keras's metrics are sums over rows
(the total and the count of a mean, the counts of a confusion matrix), so the sum of the ranks' is
what one process would have. Any other metric (a largest value, a median) gets all rows on every
rank: those of validation, whose predictions come from one state of the model. Of training rows,
which are seen while it changes, only one rank knows such a metric. Runs in the rank's process only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from sparkmine.errors import ConfigError

_OF_SUMS = (
    keras.metrics.Mean,
    keras.metrics.Sum,
    keras.metrics.AUC,
    keras.metrics.Precision,
    keras.metrics.Recall,
    keras.metrics.TruePositives,
    keras.metrics.TrueNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.FalseNegatives,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.FBetaScore,
    keras.metrics.IoU,
    keras.metrics.R2Score,
)

# Targets and predictions that every rank may hold: 256 MiB of float32.
_MOST_NUMBERS = 1 << 26

Sums = list[np.ndarray[Any, Any]]


class OwnMetrics:
    """None for a model that is not compiled with metrics."""

    def __init__(self, model: Any, targets: int, outputs: int) -> None:
        """Make the variables, which Keras does with the first batch.

        Args:
            targets: Numbers of a row that the model shall give.
            outputs: Numbers that it gives.
        """
        self._compiled = getattr(model, "_compile_metrics", None)
        self._summed: list[Any] = []
        self._others: list[Any] = []
        if self._compiled is None:
            return
        self._compiled.update_state(
            np.zeros((1, targets), np.float32), np.zeros((1, outputs), np.float32)
        )
        for metric in self._compiled.metrics:
            known = isinstance(metric, _OF_SUMS) or getattr(metric, "additive", False)
            (self._summed if known else self._others).append(metric)
        self.reset()

    @property
    def names(self) -> list[str]:
        """The names of the figures of training rows."""
        return list(_figures([*self._summed, *([] if hvd.size() > 1 else self._others)]))

    @property
    def of_validation(self) -> list[str]:
        """The names of those that only validation rows have: they need all rows together."""
        return list(_figures(self._others)) if hvd.size() > 1 else []

    def update(self, targets: Any, outputs: Any) -> None:
        """Count a batch; also within a graph."""
        if self._compiled is not None:
            self._compiled.update_state(targets, outputs)

    def reset(self) -> None:
        """Forget all batches."""
        for metric in [*self._summed, *self._others]:
            metric.reset_state()

    def sums(self, before: Sequence[Any] = ()) -> Sums:
        """Return the sums, added up over all ranks and with those of `before`."""
        found = [np.asarray(variable.numpy()) for variable in self._variables]
        if hvd.size() > 1:
            found = [
                np.asarray(hvd.allreduce(tf.constant(array), op=hvd.Sum, name=f"metrics.{number}"))
                for number, array in enumerate(found)
            ]
        if not before:
            return found
        return [
            array + np.asarray(one, array.dtype) for array, one in zip(found, before, strict=True)
        ]

    def figures(self, sums: Sums, *, whole: bool = True) -> dict[str, float | None]:
        """Return the metrics of such sums, and those that a single rank knows without.

        Args:
            whole: Whether this process has seen all of the rows; if not, the latter are None.
        """
        mine = [variable.numpy() for variable in self._variables]
        self._assign(sums)
        found = _figures(self._summed)
        self._assign(mine)
        if hvd.size() == 1:
            others = _figures(self._others)
            found.update(others if whole else dict.fromkeys(others))
        return found

    def figures_of(
        self, batches: Iterable[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
    ) -> dict[str, float | None]:
        """Return the metrics `of_validation` of targets and outputs, which are all rows."""
        for metric in self._others:
            metric.reset_state()
        for targets, outputs in batches:
            for metric in self._others:
                metric.update_state(tf.constant(targets), tf.constant(outputs))
        return _figures(self._others)

    @property
    def _variables(self) -> list[Any]:
        return [variable for metric in self._summed for variable in metric.variables]

    def _assign(self, arrays: Sums) -> None:
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array)


def check_room(names: Sequence[str], rows: int, numbers: int) -> None:
    """Check that every rank may hold all validation rows, if metrics need that.

    Args:
        names: Of such metrics.
        numbers: Targets and outputs of a row.

    Raises:
        ConfigError: they are too many.
    """
    if names and rows * numbers > _MOST_NUMBERS:
        raise ConfigError(
            f"metrics {', '.join(names)} cannot be added up over the ranks, so every rank needs "
            f"the {rows} validation rows x {numbers} targets and predictions, more than "
            f"{_MOST_NUMBERS}: validate on fewer rows, leave the metric out, or say "
            "`additive = True` in its class if all its variables are sums over rows"
        )


def _figures(metrics: Sequence[Any]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for metric in metrics:
        values = np.ravel(np.asarray(metric.result(), np.float64)).tolist()
        names = [f"{metric.name}_{n}" for n in range(len(values))]  # one for each class
        for name, value in zip(names if len(values) > 1 else [metric.name], values, strict=True):
            found[name] = value if math.isfinite(value) else None
    return found
