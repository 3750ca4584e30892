"""The tasks that can be measured, by name, and the measuring of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.evaluate.binary import Scored
from sparkmine.evaluate.metrics import Options, Outcomes, Sample, row_weights
from sparkmine.evaluate.multiclass import Classified
from sparkmine.evaluate.regression import Predicted

TASKS: dict[str, type[Outcomes]] = {
    "binary": Scored,
    "multiclass": Classified,
    "regression": Predicted,
}
_LABELS = {name: label for task in TASKS.values() for name, label in task.metrics.items()}


def task_of(name: str) -> type[Outcomes]:
    """The task of this name.

    Raises:
        DataError: there is none.
    """
    if name not in TASKS:
        raise DataError(f"unknown task {name}; there are {', '.join(TASKS)}")
    return TASKS[name]


def measure(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    metrics: Sequence[str] | None = None,
    *,
    task: str = "binary",
    threshold: float = 0.5,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """Measure predictions against labels [n].

    Args:
        predictions: binary: probabilities [n] of class 1; multiclass: classes [n] or
            probabilities [n, k]; regression: numbers [n].
        metrics: names; all of the task when None.
        threshold: the least probability that is predicted positive (binary).
        weights: [n] count a row more than once or less (all 1 when None).

    Raises:
        DataError: unknown names, or values that the task does not know.
    """
    kind = task_of(task)
    names = kind.check_names(tuple(kind.metrics) if metrics is None else metrics)
    outcomes = kind.of(labels, predictions, Options(threshold=threshold))
    used = row_weights(weights, len(outcomes))
    return Sample(outcomes=outcomes, weights=used).measure(names)


def metric_label(name: str) -> str:
    """The name for readers: `roc_auc` is ROC-AUC."""
    return _LABELS.get(name, name)
