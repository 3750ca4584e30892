"""A linear support vector machine by Spark ML, whose margin Platt's sigmoid makes a probability.

Cortes and Vapnik, "Support-vector networks" (Machine Learning 20, 1995). The margin says on which
side of a plane a row lies and how far, not how likely class 1 is. A sigmoid fitted to margins of
the rows that the plane was fitted to would be too sure: they lie further out than new rows do. So
the rows are dealt to `folds` parts, each part gets its margins from a plane that is fitted to the
others, and the sigmoid (`platt.py`) is fitted to all of those; the plane that is kept is fitted to
all rows. A row is dealt by its content, so equal rows are never on both sides.

Cost: folds + 1 fits, each some passes (one for each step of OWL-QN) over the cached rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from sparkmine.errors import DataError
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.supervised.logistic import coefficients, linear
from sparkmine.mine.supervised.platt import probability, sigmoid_of
from sparkmine.mine.supervised.rows import TrainingRows, training_rows
from sparkmine.mine.supervised.settings import (
    ClassWeight,
    at_least,
    check_class_weight,
    for_tasks,
)
from sparkmine.model import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class LinearSVM:
    """Linear support vector machine: minimises mean hinge loss + l2/2 |w|_2^2.

    The prediction is the calibrated probability of class 1. The sigmoid counts every row once, so
    it means frequencies whatever the weights of the classes.

    Fields:
        task: `binary`.
        l2: weight of the squared penalty.
        max_iterations: most iterations of the optimiser.
        tolerance: relative change of the objective at which it stops.
        standardize: apply the penalty to the coefficients of standardised features.
        class_weight: how much the rows of each class count; `balanced`: all classes the same.
        folds: parts whose margins come from a plane that the others gave.
    """

    task: Task = "binary"
    l2: float = 0.01
    max_iterations: int = 100
    tolerance: float = 1e-6
    standardize: bool = True
    class_weight: ClassWeight = None
    folds: int = 3

    def __post_init__(self) -> None:
        for_tasks(self, self.task, "binary", instead="LogisticRegression knows several classes")
        at_least(self, 0, "l2", "tolerance")
        at_least(self, 1, "max_iterations")
        at_least(self, 2, "folds")
        check_class_weight(self.class_weight)

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> ExpressionModel:
        """Fit on the rows of `train`; `seed` deals them to the folds.

        Args and errors: see `training_rows`; DataError too where a fold lacks a class.
        """
        from pyspark.ml.classification import LinearSVC

        with training_rows(train, features, label, spark, class_weight=self.class_weight) as rows:
            machine = LinearSVC(
                regParam=self.l2,
                maxIter=self.max_iterations,
                tol=self.tolerance,
                standardization=self.standardize,
                **rows.weighted,
            )
            dealt = self._dealt(rows, seed)
            fitted = machine.fit(rows.frame)
            weights = [float(weight) for weight in fitted.coefficients.toArray()]
            intercept = float(fitted.intercept)
            # The hinge turns at margins of 1 and -1.
            a, b = sigmoid_of(self._margins(machine, dealt), width=2.0)
            details = rows.details("linear_svm")
            details |= coefficients(rows, weights, intercept)
            details["sigmoid"] = {"slope": a, "intercept": b, "folds": self.folds}
            margin = linear(rows.inputs, weights, intercept)
            return ExpressionModel(expression=probability(margin, a, b), details=details)

    def _dealt(self, rows: TrainingRows, seed: int) -> DataFrame:
        """The rows with the column `fold`, checked."""
        from pyspark.sql import functions as F

        fold = F.pmod(F.xxhash64(F.lit(seed), "features", "label"), F.lit(self.folds))
        dealt = rows.frame.withColumn("fold", fold.cast("int"))
        found = {
            (row["fold"], row["label"]): row["count"]
            for row in dealt.groupBy("fold", "label").count().collect()
        }
        for number in range(self.folds):
            for value, every in enumerate(rows.labels.counts):
                if found.get((number, float(value)), 0) in (0, every):
                    raise DataError(
                        f"{every} rows of class {value} are too few for {self.folds} folds; "
                        "take fewer folds or more rows"
                    )
        return dealt

    def _margins(self, machine: Any, dealt: DataFrame) -> DataFrame:
        """The margin of every row [score, label] by a plane that was fitted without it."""
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql import functions as F

        margin = F.get(vector_to_array(F.col("rawPrediction")), F.lit(1)).alias("score")
        parts = [
            machine.fit(dealt.where(F.col("fold") != number))
            .transform(dealt.where(F.col("fold") == number))
            .select(margin, "label")
            for number in range(self.folds)
        ]
        return reduce(lambda left, right: left.unionByName(right), parts)
