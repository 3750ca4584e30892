"""A sigmoid that turns scores into probabilities.

Platt, "Probabilistic outputs for support vector machines" (1999): the probability of class 1 is
1 / (1 + exp(a f + b)), fitted by maximum likelihood to smoothed targets, (n1 + 1) / (n1 + 2) and
1 / (n0 + 2), so that it stays inside (0, 1). Newton's method with backtracking, as in Lin, Lin and
Weng, "A note on Platt's probabilistic outputs for support vector machines" (2007).

Cost: one pass, by which scores that agree to 2^-16 of their width become one point (their mean, and
how many there are); the iterations run over the points in the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sparkmine.expr import Expr, function

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]

_BINS = float(1 << 16)
_ITERATIONS = 100


def sigmoid_of(scores: DataFrame, width: float) -> tuple[float, float]:
    """`a` and `b` for rows [score: double, label: double of 0 and 1].

    Args:
        width: how far the scores spread.
    """
    from pyspark.sql import functions as F

    points = (
        scores.groupBy(F.round(F.col("score") * (_BINS / (width or 1.0))).alias("bin"))
        .agg(F.mean("score").alias("score"), F.count("*").alias("rows"), F.sum("label").alias("y"))
        .orderBy("bin")
        .toArrow()
    )
    score, rows, positives = (
        np.asarray(points.column(name).to_numpy(), np.float64) for name in ("score", "rows", "y")
    )
    return platt(score, rows, positives)


def platt(scores: Floats, rows: Floats, positives: Floats) -> tuple[float, float]:
    """`a` and `b` for points [n]: a score, the rows that have it, and those of class 1 among them.

    The scores are brought to a mean of 0 and a deviation of 1 while iterating.
    """
    ones, zeros = float(positives.sum()), float((rows - positives).sum())
    high, low = (ones + 1) / (ones + 2), 1 / (zeros + 2)
    # The targets of a point's rows, summed: the likelihood is linear in them.
    targets = positives * high + (rows - positives) * low
    centre = float(np.average(scores, weights=rows))
    scale = float(np.sqrt(np.average((scores - centre) ** 2, weights=rows))) or 1.0
    x = (scores - centre) / scale

    def loss(a: float, b: float) -> float:
        margin = a * x + b
        # -log p = log(1 + exp(margin)); -log(1 - p) = that - margin.
        return float((rows * np.logaddexp(0.0, margin) - (rows - targets) * margin).sum())

    a, b = 0.0, float(np.log((zeros + 1) / (ones + 1)))
    value = loss(a, b)
    for _ in range(_ITERATIONS):
        p = 1.0 / (1.0 + np.exp(np.clip(a * x + b, -700, 700)))
        slope = targets - rows * p
        gradient = np.array([(slope * x).sum(), slope.sum()])
        if np.abs(gradient).max() < 1e-10 * rows.sum():
            break
        curve = rows * p * (1 - p)
        cross = (curve * x).sum()
        hessian = np.array([[(curve * x * x).sum(), cross], [cross, curve.sum()]])
        step = np.linalg.solve(hessian + 1e-12 * rows.sum() * np.eye(2), gradient)
        length = 1.0
        while length > 1e-10:
            tried = loss(a - length * step[0], b - length * step[1])
            if tried < value - 1e-4 * length * float(gradient @ step):
                break
            length /= 2
        else:
            break
        a, b, value = a - length * float(step[0]), b - length * float(step[1]), tried
    return a / scale, b - a * centre / scale


def probability(score: Expr, a: float, b: float) -> Expr:
    """The sigmoid as an expression."""
    return 1.0 / (1.0 + function("exp", score * a + b))
