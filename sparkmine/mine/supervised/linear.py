"""Linear regression: least squares, ridge, lasso and elastic net, by Spark ML.

Up to 4,096 features the normal equations are summed in one pass over the cached rows and solved in
the driver; an absolute penalty needs iterations over those sums, not over the rows (Friedman,
Hastie and Tibshirani, "Regularization paths for generalized linear models via coordinate descent",
Journal of Statistical Software 33, 2010, describe the objective). With more features every
iteration of L-BFGS or OWL-QN is a pass.

Spark ML divides the label by its standard deviation before it applies the penalties, so its
squared penalty counts that much less than its documentation says. Here it is scaled back, and the
objective is the one below in the units of the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import DataError
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.supervised.logistic import coefficients, linear
from sparkmine.mine.supervised.rows import training_rows
from sparkmine.mine.supervised.settings import at_least, for_tasks
from sparkmine.model import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# Of more features Spark ML does not solve the normal equations.
MOST_NORMAL = 4_096


@dataclass(frozen=True, kw_only=True)
class LinearRegression:
    """Linear regression: minimises mean (y - Xw)^2 / 2 + l1 |w|_1 + l2/2 |w|_2^2.

    `l2` alone is ridge regression, `l1` alone the lasso, both the elastic net. The intercept is
    not penalised.

    Fields:
        task: `regression`.
        l2: weight of the squared penalty.
        l1: weight of the absolute penalty, which makes coefficients exactly 0.
        max_iterations: most iterations of the optimiser.
        tolerance: relative change of the objective at which it stops.
        standardize: apply the penalties to the coefficients of standardised features.
    """

    task: Task = "regression"
    l2: float = 0.0
    l1: float = 0.0
    max_iterations: int = 100
    tolerance: float = 1e-6
    standardize: bool = True

    def __post_init__(self) -> None:
        for_tasks(self, self.task, "regression", instead="LogisticRegression is")
        at_least(self, 0, "l2", "l1", "tolerance")
        at_least(self, 1, "max_iterations")

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> ExpressionModel:
        """Fit on the rows of `train`; `seed` is unused, the optimum is the same for all.

        Args and errors: see `training_rows`.
        """
        from pyspark.ml.regression import LinearRegression as SparkLinearRegression

        with training_rows(train, features, label, spark, task="regression") as rows:
            normal = len(rows.inputs) <= MOST_NORMAL
            sample, population = rows.labels.deviation
            deviation = population if normal else sample
            if not deviation:
                raise DataError(f"label {label} is the same in all {rows.labels.rows} rows")
            ridge = self.l2 * deviation
            penalty = self.l1 + ridge
            fitted = SparkLinearRegression(
                regParam=penalty,
                elasticNetParam=self.l1 / penalty if penalty else 0.0,
                maxIter=self.max_iterations,
                tol=self.tolerance,
                standardization=self.standardize,
                solver="normal" if normal else "l-bfgs",
            ).fit(rows.frame)
            weights = [float(weight) for weight in fitted.coefficients.toArray()]
            intercept = float(fitted.intercept)
            details = rows.details("linear_regression")
            details |= coefficients(rows, weights, intercept)
            return ExpressionModel(
                expression=linear(rows.inputs, weights, intercept), details=details
            )
