"""Naive Bayes by Spark ML: classes by how likely each makes every feature, taken one by one.

- gaussian: each feature is normal in each class;
- multinomial: features are counts, such as of words, 0 or more;
- complement: the same, by the counts of all other classes (Rennie, Shih, Teevan and Karger,
  "Tackling the poor assumptions of naive Bayes text classifiers", ICML 2003): better where classes
  differ in size;
- bernoulli: features are 0 or 1, and a 0 counts as well.

Cost: one pass over the cached rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.supervised.classes import LinearClasses
from sparkmine.mine.supervised.logistic import linear, sigmoid
from sparkmine.mine.supervised.rows import Domain, training_rows
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

Variant = Literal["gaussian", "multinomial", "complement", "bernoulli"]

_DOMAINS: dict[str, Domain] = {
    "gaussian": "finite",
    "multinomial": "non-negative",
    "complement": "non-negative",
    "bernoulli": "0 or 1",
}


@dataclass(frozen=True, kw_only=True)
class NaiveBayes:
    """Naive Bayes. Its probabilities are ranks rather than frequencies: calibrate them.

    Fields:
        task: `binary` or `multiclass`.
        variant: what a feature is: `gaussian`, `multinomial`, `complement` or `bernoulli`.
        smoothing: added to every count (not for gaussian).
        class_weight: how much the rows of each class count; `balanced`: all classes the same.
    """

    task: Task = "binary"
    variant: Variant = "gaussian"
    smoothing: float = 1.0
    class_weight: ClassWeight = None

    def __post_init__(self) -> None:
        for_tasks(self, self.task, "binary", "multiclass")
        if self.variant not in get_args(Variant):
            raise ConfigError(
                f"variant is {self.variant!r}; it must be one of {', '.join(get_args(Variant))}"
            )
        at_least(self, 0, "smoothing")
        check_class_weight(self.class_weight)

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> Model:
        """Fit on the rows of `train`; `seed` is unused.

        Args and errors: see `training_rows`; a feature outside the variant's domain is a DataError.
        """
        from pyspark.ml.classification import NaiveBayes as SparkNaiveBayes

        wanted = training_rows(
            train,
            features,
            label,
            spark,
            task=self.task,
            class_weight=self.class_weight,
            domain=_DOMAINS[self.variant],
        )
        with wanted as rows:
            fitted = SparkNaiveBayes(
                modelType=self.variant, smoothing=self.smoothing, **rows.weighted
            ).fit(rows.frame)
            weights, intercepts, centres = _functions(self.variant, fitted)
            details: dict[str, Any] = rows.details("naive_bayes") | {"variant": self.variant}
            if self.task == "multiclass" or centres.size:
                # Squares of two classes would be an expression as well, but one of four terms a
                # feature, which Spark compiles for seconds.
                return LinearClasses(
                    columns=rows.columns,
                    kind=self.task,
                    weights=weights,
                    intercepts=intercepts,
                    centres=centres,
                    details=details,
                )
            difference = (weights[1] - weights[0]).tolist()
            margin = linear(rows.inputs, difference, float(intercepts[1] - intercepts[0]))
            return ExpressionModel(expression=sigmoid(margin), details=details)


def _functions(variant: str, fitted: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [k, d], intercepts [k] and centres [k, d] (or none) of `LinearClasses`."""
    prior = np.asarray(fitted.pi.toArray())
    theta = np.asarray(fitted.theta.toArray())
    none = np.zeros((0, 0))
    if variant == "gaussian":
        variance = np.asarray(fitted.sigma.toArray())
        return -0.5 / variance, prior - 0.5 * np.log(variance).sum(axis=1), theta
    if variant == "bernoulli":
        absent = np.log1p(-np.exp(theta))
        return theta - absent, prior + absent.sum(axis=1), none
    if variant == "complement":
        # As in the paper, the prior does not count.
        return theta, np.zeros(len(theta)), none
    return theta, prior, none
