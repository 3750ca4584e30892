"""Logistic regression by Spark ML: L-BFGS, or OWL-QN with an absolute penalty.

Sparse vectors are fitted and scored as such; of very many terms the model keeps the weights as an
array, and reports none.

Cost: the input is read once into a cache; every evaluation of the objective (a little more than one
for each iteration) is a pass over it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.expr import Expr, function, lit
from sparkmine.mine.expression_model import ExpressionModel, total
from sparkmine.mine.supervised.classes import LinearClasses
from sparkmine.mine.supervised.rows import TrainingRows, training_rows
from sparkmine.mine.supervised.settings import (
    ClassWeight,
    at_least,
    check_class_weight,
    for_tasks,
)
from sparkmine.model import Model, Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """Logistic regression: minimises mean log loss + l1 |w|_1 + l2/2 |w|_2^2.

    A multiclass model is a softmax of one linear function a class. With class weights the mean is
    the weighted one.

    Fields:
        task: `binary` or `multiclass`.
        l2: weight of the squared penalty.
        l1: weight of the absolute penalty, which makes coefficients exactly 0.
        max_iterations: most passes of the optimiser (L-BFGS; OWL-QN with l1).
        tolerance: relative change of the objective at which it stops.
        standardize: apply the penalties to the coefficients of standardised features.
        class_weight: how much the rows of each class count; `balanced`: all classes the same.
    """

    task: Task = "binary"
    l2: float = 0.0
    l1: float = 0.0
    max_iterations: int = 100
    tolerance: float = 1e-6
    standardize: bool = True
    class_weight: ClassWeight = None

    def __post_init__(self) -> None:
        for_tasks(self, self.task, "binary", "multiclass", instead="LinearRegression is")
        at_least(self, 0, "l2", "l1", "tolerance")
        at_least(self, 1, "max_iterations")
        check_class_weight(self.class_weight)

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> Model:
        """Fit on the rows of `train`; `seed` is unused, the optimum is the same for all.

        Args and errors: see `training_rows`.
        """
        from pyspark.ml.classification import LogisticRegression as SparkLogisticRegression

        penalty = self.l1 + self.l2
        wanted = training_rows(
            *(train, features, label, spark),
            task=self.task,
            class_weight=self.class_weight,
            sparse=True,
        )
        with wanted as rows:
            fitted = SparkLogisticRegression(
                family="binomial" if self.task == "binary" else "multinomial",
                regParam=penalty,
                elasticNetParam=self.l1 / penalty if penalty else 0.0,
                maxIter=self.max_iterations,
                tol=self.tolerance,
                standardization=self.standardize,
                **rows.weighted,
            ).fit(rows.frame)
            iterations = int(fitted.summary.totalIterations)
            if iterations >= self.max_iterations:
                logger.warning("logistic regression stopped after %d iterations", iterations)
            details: dict[str, Any] = rows.details("logistic_regression")
            if rows.sparse:
                return _of_sparse(fitted, rows, self.task, details | {"iterations": iterations})
            if self.task == "binary":
                weights = [float(weight) for weight in fitted.coefficients.toArray()]
                intercept = float(fitted.intercept)
                details |= coefficients(rows, weights, intercept)
                details["iterations"] = iterations
                return ExpressionModel(
                    expression=sigmoid(linear(rows.inputs, weights, intercept)), details=details
                )
            matrix = np.asarray(fitted.coefficientMatrix.toArray())
            intercepts = np.asarray(fitted.interceptVector.toArray())
            details |= {
                "intercepts": intercepts.tolist(),
                "coefficients": dict(zip(rows.names, matrix.T.tolist(), strict=True)),
                "deviations": rows.deviations(),
                "iterations": iterations,
            }
            return LinearClasses(
                columns=rows.columns,
                weights=matrix,
                intercepts=intercepts,
                centres=np.zeros((0, 0)),
                details=details,
            )


def _of_sparse(
    fitted: Any, rows: TrainingRows, task: Task, details: dict[str, Any]
) -> LinearClasses:
    """The model of weights that are too many for an expression."""
    weights = np.asarray(fitted.coefficientMatrix.toArray())
    intercepts = np.asarray(fitted.interceptVector.toArray())
    if task == "binary":  # the function of class 1, beside one of class 0 that is 0
        weights = np.concatenate([np.zeros_like(weights), weights])
        intercepts = np.concatenate([[0.0], intercepts])
    return LinearClasses(
        kind=task,
        columns=rows.columns,
        weights=weights,
        intercepts=intercepts,
        centres=np.zeros((0, 0)),
        details=details,
    )


def linear(inputs: Sequence[Expr], weights: Sequence[float], intercept: float) -> Expr:
    """The sum of intercept and weighted inputs; null where one that counts is not finite.

    Null, NaN and infinity spread through the sum: one guard behind it is enough.
    """
    used = [x * w for x, w in zip(inputs, weights, strict=True) if w]
    margin = total([lit(intercept), *used])
    return function("finite", margin) if used else margin


def sigmoid(margin: Expr) -> Expr:
    return 1.0 / (1.0 + function("exp", -margin))


def coefficients(rows: TrainingRows, weights: Sequence[float], intercept: float) -> dict[str, Any]:
    """What reports show of a linear model."""
    return {
        "intercept": intercept,
        "coefficients": dict(zip(rows.names, weights, strict=True)),
        "deviations": rows.deviations(),
    }
