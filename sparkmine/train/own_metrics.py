"""The metrics with which a user's function has compiled its model, over the rows of all ranks.

A rank's metric sees its rows alone. The variables of most of Keras's metrics are sums over rows
(the total and the count of a mean, the counts of a confusion matrix), so the sum of the ranks' is
what one process would have. Runs in the rank's process only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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

Sums = list[np.ndarray[Any, Any]]


class OwnMetrics:
    """None for a model that is not compiled with metrics."""

    def __init__(self, model: Any, targets: int) -> None:
        """Make the variables, which Keras does with the first batch of [rows, targets].

        Raises:
            ConfigError: a metric of several ranks is none of sums.
        """
        self._compiled = getattr(model, "_compile_metrics", None)
        self._metrics: list[Any] = []
        if self._compiled is None:
            return
        nothing = np.zeros((1, *model.output_shape[1:]), np.float32)
        self._compiled.update_state(np.zeros((1, targets), np.float32), nothing)
        self._metrics = self._compiled.metrics
        for metric in self._metrics:
            known = isinstance(metric, _OF_SUMS) or getattr(metric, "additive", False)
            if hvd.size() > 1 and not known:
                raise ConfigError(
                    f"metric {metric.name!r} ({type(metric).__name__}) cannot be added up over the "
                    "ranks; leave it out, or say `additive = True` in its class if all its "
                    "variables are sums over rows"
                )
        self.reset()

    @property
    def names(self) -> list[str]:
        """The names of the figures."""
        return list(self._figures()) if self._metrics else []

    def update(self, targets: Any, outputs: Any) -> None:
        """Count a batch; also within a graph."""
        if self._compiled is not None:
            self._compiled.update_state(targets, outputs)

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self._metrics:
            metric.reset_state()

    def sums(self, before: Sequence[Any] = ()) -> Sums:
        """Return the variables, added up over all ranks and with those of `before`."""
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

    def figures(self, sums: Sums) -> dict[str, float | None]:
        """Return the metrics of such sums; those of this rank stay as they are."""
        mine = [variable.numpy() for variable in self._variables]
        self._assign(sums)
        found = self._figures()
        self._assign(mine)
        return found

    @property
    def _variables(self) -> list[Any]:
        return [variable for metric in self._metrics for variable in metric.variables]

    def _assign(self, arrays: Sums) -> None:
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array)

    def _figures(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {}
        for metric in self._metrics:
            values = np.ravel(np.asarray(metric.result(), np.float64)).tolist()
            names = [f"{metric.name}_{n}" for n in range(len(values))]  # one for each class
            for name, value in zip(
                names if len(values) > 1 else [metric.name], values, strict=True
            ):
                found[name] = value if math.isfinite(value) else None
        return found
