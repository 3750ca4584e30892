"""Validation figures of a fit: sums that ranks add up, and figures of all predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def figures(
    task: str, labels: NDArray[np.float32], outputs: NDArray[np.float32], names: Sequence[str]
) -> dict[str, float | None]:
    """Return the figures of `task` from all rows.

    Args:
        labels: [rows, labels].
        outputs: [rows, labels]; of `multiclass` the class, of `reconstruction` the row's mean
            squared error [rows, 1].
        names: Of the labels.
    """
    if task == "multilabel":
        return multilabel(labels, outputs, names)
    if task == "reconstruction":
        return {"mse": float(np.mean(outputs, dtype=np.float64))}
    label, output = labels[:, 0], outputs[:, 0]
    if task == "binary":
        return binary(label, output)
    return {**(multiclass if task == "multiclass" else regression)(label, output)}


def names(task: str, labels: Sequence[str]) -> list[str]:
    """Return the names of the figures of `task`."""
    one = np.zeros((1, max(len(labels), 1)), np.float32)
    return list(figures(task, one, one, labels))


def binary(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> dict[str, float | None]:
    """Return `auc` (None where one class is absent) and `accuracy` at 0.5, from all rows."""
    return {
        "auc": area_under_roc(labels, scores),
        "accuracy": float(np.mean((scores > 0.5) == (labels > 0.5))),
    }


def multilabel(
    labels: NDArray[np.float32], scores: NDArray[np.float32], names: Sequence[str]
) -> dict[str, float | None]:
    """Return the figures of `binary` for every column of [rows, labels], and their plain means.

    A label with one class in these rows has no `auc`, and the mean leaves it out.
    """
    of_label = {name: binary(labels[:, n], scores[:, n]) for n, name in enumerate(names)}
    found: dict[str, float | None] = {}
    for figure in ("auc", "accuracy"):
        known = [value for one in of_label.values() if (value := one[figure]) is not None]
        found[figure] = float(np.mean(known)) if known else None
    for name, figures in of_label.items():
        found.update({f"{figure}_{name}": value for figure, value in figures.items()})
    return found


def multiclass(labels: NDArray[np.float32], classes: NDArray[np.float32]) -> dict[str, float]:
    """Return `accuracy` of predicted class numbers."""
    return {"accuracy": float(np.mean(labels == classes))}


def regression(labels: NDArray[np.float32], values: NDArray[np.float32]) -> dict[str, float]:
    """Return `rmse` and `mae`."""
    error = values.astype(np.float64) - labels.astype(np.float64)
    return {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}


def area_under_roc(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> float | None:
    """Return the exact area under the ROC curve; equal scores count one half.

    The Mann-Whitney form: the mean rank of the positive rows, less its smallest possible value.
    """
    positive = labels > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(sizes) - (sizes - 1) / 2.0
    total = float(mean_ranks[group][positive].sum())
    return (total - positives * (positives + 1) / 2.0) / (positives * negatives)
