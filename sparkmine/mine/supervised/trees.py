"""Decision trees, random forests and gradient-boosted trees by Spark ML.

Trees for 0/1 labels are grown as regression trees: the variance p (1 - p) is half the Gini
impurity, so the splits are the same, and a leaf's mean is the share of class 1. Spark ML's
classifiers would merge sibling leaves that agree on the more frequent class, and with them
different probabilities. Of several classes there is no such way: there a leaf may be a merged one,
which leaves the class that a tree predicts as it is, and makes its probabilities coarser.

Thresholds are taken from at most `max_buckets` quantiles of each feature, of a sample of the rows.
Cost: the rows are read once into a cache; then a pass a level of a tree, of all trees of a forest
together as far as Spark's `maxMemoryInMB` goes; boosting grows one tree after the other.

Breiman, Friedman, Olshen and Stone, "Classification and regression trees" (1984); Breiman, "Random
forests" (Machine Learning 45, 2001); Friedman, "Stochastic gradient boosting" (Computational
Statistics & Data Analysis 38, 2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, lit, when
from sparkmine.mine.expression_model import ExpressionModel, where_known
from sparkmine.mine.supervised.nodes import Nodes, nodes_of
from sparkmine.mine.supervised.rows import TrainingRows, training_rows
from sparkmine.mine.supervised.settings import (
    ClassWeight,
    at_least,
    check_class_weight,
    for_tasks,
    share,
)
from sparkmine.mine.supervised.trees_model import TreesModel
from sparkmine.model import Model, Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# A tree is scored as one expression, whose size doubles with each level.
DEEPEST = 12
# Spark ML numbers nodes by 32 bits.
DEEPEST_OF_MANY = 30


@dataclass(frozen=True, kw_only=True)
class DecisionTree:
    """A decision tree by Gini impurity, or by variance for a regression.

    The prediction is the leaf's share of class 1, of each class, or its mean.

    Fields:
        task: `binary`, `multiclass` or `regression`.
        max_depth: most splits between root and leaf, 1 to 12.
        min_rows: least training rows in a leaf.
        min_gain: least decrease of the impurity by a split.
        max_buckets: most candidate thresholds per feature, from its quantiles.
        class_weight: how much the rows of each class count; `balanced`: all classes the same.
    """

    task: Task = "binary"
    max_depth: int = 5
    min_rows: int = 1
    min_gain: float = 0.0
    max_buckets: int = 32
    class_weight: ClassWeight = None

    def __post_init__(self) -> None:
        for_tasks(self, self.task, "binary", "multiclass", "regression")
        _check(self, DEEPEST)

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> Model:
        """Fit on the rows of `train`; `seed` draws the rows that thresholds are taken from.

        Args and errors: see `training_rows`.
        """
        from pyspark.ml.classification import DecisionTreeClassifier
        from pyspark.ml.regression import DecisionTreeRegressor

        multiclass = self.task == "multiclass"
        wanted = training_rows(
            train, features, label, spark, task=self.task, class_weight=self.class_weight
        )
        with wanted as rows:
            grower = DecisionTreeClassifier if multiclass else DecisionTreeRegressor
            fitted = grower(seed=seed, **_growth(self, rows)).fit(rows.frame)
            nodes = nodes_of(
                [fitted._java_obj], rows.labels.classes if multiclass else 0, _of(rows)
            )
            details = rows.details("decision_tree")
            details |= {"depth": int(fitted.depth), "nodes": int(fitted.numNodes)}
            details |= _importances(fitted, rows)
            if multiclass:
                return TreesModel.of(nodes, [1.0], rows.columns, self.task, details)
            used: set[int] = set()
            tree = _expression(nodes, 0, rows.inputs, used)
            # A null or NaN would be no less than or equal to any threshold, and go right.
            inputs = [rows.inputs[place] for place in sorted(used)]
            return ExpressionModel(expression=where_known(inputs, tree), details=details)


@dataclass(frozen=True, kw_only=True)
class RandomForest:
    """Trees of random rows and random features at each split; the prediction is their mean.

    Fields:
        task: `binary`, `multiclass` or `regression`.
        trees: how many.
        max_depth: most splits between root and leaf, 1 to 30.
        min_rows: least training rows in a leaf.
        min_gain: least decrease of the impurity by a split.
        max_buckets: most candidate thresholds per feature, from its quantiles.
        features_share: share of the features that each split chooses from; by default the square
            root of their number, for a regression a third of them.
        rows_share: share of the rows that each tree is grown from, drawn with replacement.
        class_weight: how much the rows of each class count; `balanced`: all classes the same.
    """

    task: Task = "binary"
    trees: int = 100
    max_depth: int = 8
    min_rows: int = 1
    min_gain: float = 0.0
    max_buckets: int = 32
    features_share: float | None = None
    rows_share: float = 1.0
    class_weight: ClassWeight = None

    def __post_init__(self) -> None:
        for_tasks(self, self.task, "binary", "multiclass", "regression")
        _check(self, DEEPEST_OF_MANY)
        at_least(self, 1, "trees")
        share(self, "rows_share", *(["features_share"] if self.features_share is not None else []))

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> TreesModel:
        """Fit on the rows of `train`; `seed` draws rows and features.

        Args and errors: see `training_rows`.
        """
        from pyspark.ml.classification import RandomForestClassifier
        from pyspark.ml.regression import RandomForestRegressor

        multiclass = self.task == "multiclass"
        wanted = training_rows(
            train, features, label, spark, task=self.task, class_weight=self.class_weight
        )
        with wanted as rows:
            grower = RandomForestClassifier if multiclass else RandomForestRegressor
            fitted = grower(
                seed=seed,
                numTrees=self.trees,
                subsamplingRate=self.rows_share,
                featureSubsetStrategy=_subset(self.features_share, self.task),
                **_growth(self, rows),
            ).fit(rows.frame)
            trees = list(fitted._java_obj.trees())
            nodes = nodes_of(trees, rows.labels.classes if multiclass else 0, _of(rows))
            details = rows.details("random_forest")
            details |= {"trees": len(trees), "nodes": len(nodes.left)}
            details |= _importances(fitted, rows)
            weights = [1.0 / len(trees)] * len(trees)
            return TreesModel.of(nodes, weights, rows.columns, self.task, details)


@dataclass(frozen=True, kw_only=True)
class GradientBoostedTrees:
    """Trees that each predict what the sum of those before it leaves of the label.

    By log loss for 0/1 labels, by squared error for a regression.

    Fields:
        task: `binary` or `regression`.
        trees: how many.
        learning_rate: how much each tree after the first counts.
        max_depth: most splits between root and leaf, 1 to 30.
        min_rows: least training rows in a leaf.
        min_gain: least decrease of the variance by a split.
        max_buckets: most candidate thresholds per feature, from its quantiles.
        features_share: share of the features that each split chooses from.
        rows_share: share of the rows that each tree is grown from, drawn without replacement.
        class_weight: how much the rows of each class count; `balanced`: all classes the same.
    """

    task: Task = "binary"
    trees: int = 50
    learning_rate: float = 0.1
    max_depth: int = 4
    min_rows: int = 1
    min_gain: float = 0.0
    max_buckets: int = 32
    features_share: float = 1.0
    rows_share: float = 1.0
    class_weight: ClassWeight = None

    def __post_init__(self) -> None:
        instead = "Spark ML boosts no multiclass trees, take RandomForest"
        for_tasks(self, self.task, "binary", "regression", instead=instead)
        _check(self, DEEPEST_OF_MANY)
        at_least(self, 1, "trees")
        share(self, "learning_rate", "rows_share", "features_share")

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> TreesModel:
        """Fit on the rows of `train`; `seed` draws rows and features.

        Args and errors: see `training_rows`.
        """
        from pyspark.ml.classification import GBTClassifier
        from pyspark.ml.regression import GBTRegressor

        wanted = training_rows(
            train, features, label, spark, task=self.task, class_weight=self.class_weight
        )
        with wanted as rows:
            grower = GBTClassifier if self.task == "binary" else GBTRegressor
            fitted = grower(
                seed=seed,
                maxIter=self.trees,
                stepSize=self.learning_rate,
                subsamplingRate=self.rows_share,
                featureSubsetStrategy=_subset(self.features_share, self.task),
                **_growth(self, rows),
            ).fit(rows.frame)
            nodes = nodes_of(list(fitted._java_obj.trees()), 0, _of(rows))
            weights = [float(weight) for weight in fitted.treeWeights]
            details = rows.details("gradient_boosted_trees")
            details |= {"trees": len(weights), "nodes": len(nodes.left)}
            details |= _importances(fitted, rows)
            return TreesModel.of(
                nodes,
                weights,
                rows.columns,
                self.task,
                details,
                link="sigmoid" if self.task == "binary" else "identity",
            )


def _check(config: DecisionTree | RandomForest | GradientBoostedTrees, deepest: int) -> None:
    at_least(config, 1, "max_depth", "min_rows")
    at_least(config, 0, "min_gain")
    at_least(config, 2, "max_buckets")
    if config.max_depth > deepest:
        raise ConfigError(f"max_depth is {config.max_depth}; it must be at most {deepest}")
    check_class_weight(config.class_weight)


def _growth(
    config: DecisionTree | RandomForest | GradientBoostedTrees, rows: TrainingRows
) -> dict[str, Any]:
    """Spark ML's names of what all trees have."""
    gini = config.task == "binary" and not isinstance(config, GradientBoostedTrees)
    return {
        "maxDepth": config.max_depth,
        "maxBins": config.max_buckets,
        "minInstancesPerNode": config.min_rows,
        # Variance is half the impurity.
        "minInfoGain": config.min_gain / 2 if gini else config.min_gain,
        **rows.weighted,
    }


def _subset(part: float | None, task: Task) -> str:
    """Spark ML's name; its `auto` knows no 0/1 label that is fitted as a number."""
    if part is None:
        return "onethird" if task == "regression" else "sqrt"
    return "all" if part == 1.0 else repr(float(part))


def _importances(fitted: Any, rows: TrainingRows) -> dict[str, Any]:
    found = np.asarray(fitted.featureImportances.toArray())
    return {"importances": dict(zip(rows.names, found.tolist(), strict=True))}


def _of(rows: TrainingRows) -> SparkSession:
    return rows.frame.sparkSession


def _expression(nodes: Nodes, place: int, inputs: Sequence[Expr], used: set[int]) -> Expr:
    """The expression below a node; adds the features it reads."""
    if nodes.left[place] < 0:
        return lit(float(nodes.value[place, 0]))
    feature = int(nodes.feature[place])
    used.add(feature)
    return when(
        inputs[feature] <= float(nodes.threshold[place]),
        _expression(nodes, int(nodes.left[place]), inputs, used),
    ).otherwise(_expression(nodes, int(nodes.right[place]), inputs, used))
