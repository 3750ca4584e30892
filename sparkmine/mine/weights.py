"""Weights of an average that are best on validation rows.

The weights are not negative and add up to 1 (Breiman, "Stacked regressions", Machine Learning 24,
1996, found both to matter). They minimise the log loss of the averaged probabilities, or the mean
squared error of the averaged numbers. Both are convex in the weights, so there is one minimum; how
far the answer can be from it is known from the gradient (the gap of Frank and Wolfe, 1956).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError
from sparkmine.lake.inputs import need_columns
from sparkmine.model import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]

# Rows that are looked at; of more a sample by the hash of the keys is as good.
MOST_ROWS = 1_000_000
# Smaller weights are 0, and what a minimum may lack, in units of the loss.
_NOTHING, _GAP = 1e-6, 1e-6

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights [m], the loss with them, and with equal weights."""

    weights: tuple[float, ...]
    loss: float
    equal: float


def choose_weights(
    rows: DataFrame,
    members: Sequence[str],
    label: str,
    keys: Sequence[str] = (),
    task: Task = "binary",
) -> Weights:
    """The weights that are best on validation rows; of very many on a sample of them.

    Args:
        members: Columns of predictions: of class 1, numbers, or arrays of several classes.
        keys: Columns that name a row: the sample are the first rows by their hash, so it is the
            same in every run; by the hash of all that is looked at when left out.

    Raises:
        ConfigError: a column is missing.
        DataError: a prediction or a label is null; what `best_weights` raises.
    """
    from pyspark.sql import functions as F

    need_columns(rows, [*members, label, *keys])
    wanted = [F.col(f"`{name}`") for name in (*members, label)]
    order = F.xxhash64(*(F.col(f"`{key}`") for key in keys or (*members, label)))
    table = rows.orderBy(order).limit(MOST_ROWS).select(*wanted).toArrow()
    missing = sum(column.null_count for column in table.columns)
    if missing:
        raise DataError(
            f"{missing} labels ({label}) and predictions ({', '.join(members)}) of the rows that "
            "weights are chosen on are null; choose rows that every member scores"
        )
    if not len(table):
        raise DataError("there are no validation rows to choose weights on; look at the condition")
    found = [
        np.array(table.column(name).to_pylist(), np.float64).reshape(len(table), -1)
        for name in members
    ]
    scores = np.stack(found, axis=1)  # [rows, members, 1 or classes]
    labels = table.column(label).to_numpy()
    return best_weights(scores if task == "multiclass" else scores[:, :, 0], labels, task)


def best_weights(
    predictions: npt.ArrayLike,
    labels: npt.ArrayLike,
    task: Task = "binary",
) -> Weights:
    """The weights of the members' predictions for labels [n].

    Args:
        predictions: [n, m] probabilities of class 1 or numbers; [n, m, k] of several classes.

    Raises:
        DataError: no rows, values that are not finite, or labels that are no classes.
    """
    from scipy.optimize import minimize

    found, truth = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    if not len(truth):
        raise DataError("there are no validation rows to choose weights on")
    if not (np.isfinite(found).all() and np.isfinite(truth).all()):
        raise DataError("labels and predictions of the validation rows must be finite numbers")
    loss = _squared_error(found, truth) if task == "regression" else _log_loss(_right(found, truth))
    size = found.shape[1]
    equal = np.full(size, 1 / size)
    start, _ = loss(equal)
    unit = max(start, float(np.finfo(np.float64).tiny))  # whatever the unit of the labels is
    answer = minimize(
        lambda w: tuple(part / unit for part in loss(w)),
        equal,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * size,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-14, "maxiter": 1_000},
    )
    weights = np.where(answer.x > _NOTHING, answer.x, 0.0)
    weights /= weights.sum()
    value, slope = loss(weights)
    gap = float(weights @ slope - slope.min())
    if gap > _GAP * unit:
        _log.warning("the loss of the weights may be %g above the least", gap)
    return Weights(weights=tuple(weights.tolist()), loss=value, equal=start)


def _right(found: Floats, truth: Floats) -> Floats:
    """What each member says of each row's true class [n, m]."""
    if found.ndim == 2:
        found = np.stack([1 - found, found], axis=2)
    if not np.isin(truth, np.arange(found.shape[2])).all():
        raise DataError(
            f"labels of the validation rows must be classes from 0 to {found.shape[2] - 1}"
        )
    codes = truth.astype(np.intp)[:, None, None]
    right: Floats = np.take_along_axis(found, codes, axis=2)[:, :, 0]
    return right


def _log_loss(right: Floats) -> Callable[[Any], tuple[float, Floats]]:
    step = np.finfo(np.float64).eps
    right = np.clip(right, step, 1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = np.maximum(right @ weights, step)
        return float(-np.log(mixed).mean()), -(right / mixed[:, None]).mean(axis=0)

    return loss


def _squared_error(found: Floats, truth: Floats) -> Callable[[Any], tuple[float, Floats]]:
    """From products of the errors: with weights that add up to 1, errors are averaged, too."""
    errors = found - truth[:, None]
    products = errors.T @ errors / len(truth)

    def loss(weights: Floats) -> tuple[float, Floats]:
        slope = products @ weights
        return float(weights @ slope), 2 * slope

    return loss
