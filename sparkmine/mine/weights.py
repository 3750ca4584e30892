"""Weights of an average that are best on validation rows.

The weights are not negative and add up to 1 (Breiman, "Stacked regressions", Machine Learning 24,
1996, found both to matter). They minimise the log loss of the averaged probabilities, or the mean
squared error of the averaged numbers. Both are convex in the weights, so there is one minimum; how
far the answer can be from it is known from the gradient (the gap of Frank and Wolfe, 1956).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sparkmine.errors import DataError

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


def best_weights(
    predictions: npt.ArrayLike,
    labels: npt.ArrayLike,
    task: Literal["binary", "regression"] = "binary",
) -> Weights:
    """The weights of the members' predictions [n, m] for labels [n].

    Raises:
        DataError: no rows, values that are not finite, or labels that are neither 0 nor 1.
    """
    from scipy.optimize import minimize

    found, truth = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    if not len(truth):
        raise DataError("there are no validation rows to choose weights on")
    if not (np.isfinite(found).all() and np.isfinite(truth).all()):
        raise DataError("labels and predictions of the validation rows must be finite numbers")
    if task == "binary" and not np.isin(truth, (0.0, 1.0)).all():
        raise DataError("labels of the validation rows must be 0 and 1")
    loss = _log_loss(found, truth) if task == "binary" else _squared_error(found, truth)
    size = found.shape[1]
    equal = np.full(size, 1 / size)
    start, _ = loss(equal)
    unit = max(start, np.finfo(np.float64).tiny)  # whatever the unit of the labels is
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


def _log_loss(found: Floats, truth: Floats) -> Callable[[Any], tuple[float, Floats]]:
    step = np.finfo(np.float64).eps
    right = np.clip(np.where(truth[:, None] == 1, found, 1 - found), step, 1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = right @ weights
        mixed = np.maximum(mixed, step)
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
