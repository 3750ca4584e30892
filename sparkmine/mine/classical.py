"""Classical classifiers for data larger than memory, fitted by Spark ML.

What is fitted becomes an expression (`ExpressionModel`), so that scoring needs neither Spark ML
nor, on Arrow tables, Spark. Fitting reads the input once into a cache; every iteration (logistic
regression) or level (tree) is a pass over that cache.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, function, lit, when
from sparkmine.mine.expression_model import ExpressionModel, total, where_known
from sparkmine.mine.training_rows import training_rows
from sparkmine.model import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# A tree is scored as one expression, whose size doubles with each level.
DEEPEST = 12

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LogisticRegression:
    """Logistic regression: minimises mean log loss + l1 |w|_1 + l2/2 |w|_2^2.

    Fields:
        task: `binary`.
        l2: weight of the squared penalty.
        l1: weight of the absolute penalty, which makes coefficients exactly 0.
        max_iterations: most passes of the optimiser (L-BFGS; OWL-QN with l1).
        tolerance: relative change of the objective at which it stops.
        standardize: apply the penalties to the coefficients of standardised features.
    """

    task: Task = "binary"
    l2: float = 0.0
    l1: float = 0.0
    max_iterations: int = 100
    tolerance: float = 1e-6
    standardize: bool = True

    def __post_init__(self) -> None:
        _for_tasks(self, self.task, "binary")
        _at_least(self, 0, "l2", "l1", "tolerance")
        _at_least(self, 1, "max_iterations")

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
        from pyspark.ml.classification import LogisticRegression as SparkLogisticRegression

        penalty = self.l1 + self.l2
        estimator = SparkLogisticRegression(
            family="binomial",
            regParam=penalty,
            elasticNetParam=self.l1 / penalty if penalty else 0.0,
            maxIter=self.max_iterations,
            tol=self.tolerance,
            standardization=self.standardize,
        )
        with training_rows(train, features, label, spark) as rows:
            fitted = estimator.fit(rows.frame)
            weights = [float(weight) for weight in fitted.coefficients.toArray()]
            intercept = float(fitted.intercept)
            iterations = int(fitted.summary.totalIterations)
            if iterations >= self.max_iterations:
                logger.warning("logistic regression stopped after %d iterations", iterations)
            used = [(x, w) for x, w in zip(rows.inputs, weights, strict=True) if w]
            # Null and NaN spread through the sum: no guard, which would treble the expression.
            margin = total([lit(intercept), *(x * w for x, w in used)])
            probability = 1.0 / (1.0 + function("exp", -margin))
            details: dict[str, Any] = {
                "method": "logistic_regression",
                "rows": rows.rows,
                "positives": rows.positives,
                "intercept": intercept,
                "coefficients": dict(zip(rows.names, weights, strict=True)),
                "iterations": iterations,
            }
        return ExpressionModel(expression=probability, details=details)


@dataclass(frozen=True, kw_only=True)
class DecisionTree:
    """A binary decision tree by Gini impurity; the prediction is the leaf's share of class 1.

    It is grown as a regression tree on the 0/1 label: the variance p (1 - p) is half the Gini
    impurity, so the splits are the same, while Spark ML's classifier would merge sibling leaves
    that agree on the more frequent class, and with them different probabilities.

    Fields:
        task: `binary`.
        max_depth: most splits between root and leaf, 1 to 12.
        min_rows: least training rows in a leaf.
        min_gain: least decrease of the Gini impurity by a split.
        max_buckets: most candidate thresholds per feature, from its quantiles.
    """

    task: Task = "binary"
    max_depth: int = 5
    min_rows: int = 1
    min_gain: float = 0.0
    max_buckets: int = 32

    def __post_init__(self) -> None:
        _for_tasks(self, self.task, "binary")
        _at_least(self, 1, "max_depth", "min_rows")
        _at_least(self, 0, "min_gain")
        _at_least(self, 2, "max_buckets")
        if self.max_depth > DEEPEST:
            raise ConfigError(f"max_depth is {self.max_depth}; it must be at most {DEEPEST}")

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> ExpressionModel:
        """Fit on the rows of `train`; `seed` draws the rows that thresholds are taken from.

        Args and errors: see `training_rows`.
        """
        from pyspark.ml.regression import DecisionTreeRegressor

        estimator = DecisionTreeRegressor(
            featuresCol="features",
            labelCol="label",
            maxDepth=self.max_depth,
            maxBins=self.max_buckets,
            minInstancesPerNode=self.min_rows,
            minInfoGain=self.min_gain / 2,
            seed=seed,
        )
        with training_rows(train, features, label, spark) as rows:
            fitted = estimator.fit(rows.frame)
            used: set[int] = set()
            tree = _tree(fitted._java_obj.rootNode(), rows.inputs, used)
            importances = fitted.featureImportances.toArray()
            details: dict[str, Any] = {
                "method": "decision_tree",
                "rows": rows.rows,
                "positives": rows.positives,
                "depth": int(fitted.depth),
                "nodes": int(fitted.numNodes),
                "importances": dict(zip(rows.names, map(float, importances), strict=True)),
            }
            # A null or NaN would be no less than or equal to any threshold, and go right.
            inputs = [rows.inputs[place] for place in sorted(used)]
        return ExpressionModel(expression=where_known(inputs, tree), details=details)


def _tree(node: Any, inputs: Sequence[Expr], used: set[int]) -> Expr:
    """The expression below a node of Spark's tree (a JVM object); adds the features it reads."""
    if node.subtreeDepth() == 0:
        return lit(float(node.prediction()))
    split = node.split()
    feature = int(split.featureIndex())
    used.add(feature)
    return when(
        inputs[feature] <= float(split.threshold()), _tree(node.leftChild(), inputs, used)
    ).otherwise(_tree(node.rightChild(), inputs, used))


def _for_tasks(config: object, task: Task, *known: Task) -> None:
    if task not in known:
        kinds = " and ".join(known)
        raise ConfigError(f"{type(config).__name__} is for {kinds} labels, not {task}")


def _at_least(config: object, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not value >= least:
            raise ConfigError(f"{name} is {value}; it must be at least {least}")
