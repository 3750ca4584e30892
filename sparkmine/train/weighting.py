"""How much a training row counts: its own weight, times the weight of its class.

The loss of a batch is the sum of weight times loss over its rows, divided by the number of rows
and by nothing else. So the mean over ranks is that of one process, a row of weight 2 counts as the
same row twice, and weights whose mean is not 1 change the length of a step as a learning rate does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

    from sparkmine.train.layout import Layout
    from sparkmine.train.source import Source

ClassWeight = Mapping[int, float] | Literal["balanced"]

_ONE_LABEL = (
    "class_weight is for one label with classes (binary, multiclass); give weight= a column instead"
)
# A label with more values is no class, and its counts are not fetched.
_MOST_CLASSES = 10_000


def resolved(
    class_weight: ClassWeight | None,
    source: Source,
    labels: Sequence[str],
    task: str | None,
    spark: SparkSession,
) -> dict[int, float] | None:
    """Return the weight of every class; `balanced` is counted, in one pass over `source`.

    `task` is None where only the ranks can know it: then they check it.

    Raises:
        ConfigError: the task has no classes, no mapping of them to weights, a negative weight.
    """
    if class_weight is None:
        return None
    if len(labels) != 1 or task not in (None, "binary", "multiclass"):
        raise ConfigError(_ONE_LABEL)
    if class_weight == "balanced":
        return balanced(_counts(source, labels[0], spark))
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"class_weight={class_weight!r}: give 'balanced' or a weight for every class, such as "
            "{0: 1.0, 1: 5.0}"
        )
    for number, weight in class_weight.items():
        if not math.isfinite(weight) or weight < 0:
            raise ConfigError(f"class_weight of class {number} is {weight}: at least 0")
    return {int(number): float(weight) for number, weight in class_weight.items()}


def balanced(counts: Mapping[int, int]) -> dict[int, float]:
    """Return weights by which all classes that occur count the same, and all rows 1 on average."""
    rows = sum(counts.values())
    return {number: rows / (len(counts) * count) for number, count in counts.items()}


class RowWeights:
    """The weights of a batch, from its targets."""

    def __init__(
        self, layout: Layout, class_weight: Mapping[int, float] | None, classes: int | None
    ) -> None:
        self._column = None if layout.weight is None else len(layout.labels)
        self._of_class: NDArray[np.float32] | None = None
        if class_weight is None:
            return
        if classes is None:
            raise ConfigError(_ONE_LABEL)
        if set(class_weight) != set(range(classes)):
            raise ConfigError(
                f"class_weight has the classes {sorted(class_weight)}; the label has 0 to "
                f"{classes - 1}, and each needs a weight and must occur to be balanced"
            )
        self._of_class = np.array([class_weight[n] for n in range(classes)], np.float32)

    def __bool__(self) -> bool:
        return self._column is not None or self._of_class is not None

    def of(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weights [rows] of `targets` [rows, labels + weight]."""
        weights = np.ones(len(targets), np.float32)
        if self._column is not None:
            weights = weights * targets[:, self._column]
        if self._of_class is not None:
            weights = weights * self._of_class[targets[:, 0].astype(np.int64)]
        return weights


def _counts(source: Source, label: str, spark: SparkSession) -> dict[int, int]:
    from pyspark.sql import functions as f

    rows = source.scan.snapshot.dataframe(spark).where(f.col(f"`{label}`").isNotNull())
    counted = rows.groupBy(f.col(f"`{label}`").alias("label")).count().limit(_MOST_CLASSES + 1)
    counts = {float(row[0]): int(row[1]) for row in counted.collect()}
    if len(counts) > _MOST_CLASSES or any(value != math.floor(value) for value in counts):
        raise ConfigError(
            f"class_weight='balanced', but the label {label} holds {len(counts)} or more values "
            "that are no classes; give weight= a column instead"
        )
    return {int(value): count for value, count in counts.items()}
