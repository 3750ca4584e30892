"""What the labels of training rows are, and how much each class counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine.supervised.settings import ClassWeight
from sparkmine.model import Task

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A label with more values is no class.
MOST_CLASSES = 1_000


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels, counted.

    Fields:
        rows: number of rows.
        counts: rows of each class 0 to k - 1; empty for a regression.
        deviation: standard deviation of the labels (of the sample, and of the population).
    """

    task: Task
    rows: int
    counts: tuple[int, ...] = ()
    deviation: tuple[float, float] = (0.0, 0.0)

    @property
    def positives(self) -> int:
        """Rows with label 1."""
        return self.counts[1] if len(self.counts) > 1 else 0

    @property
    def classes(self) -> int:
        return len(self.counts)

    def details(self) -> dict[str, Any]:
        if self.task == "multiclass":
            return {"rows": self.rows, "class_rows": list(self.counts)}
        return {"rows": self.rows} | ({"positives": self.positives} if self.counts else {})


def counted_labels(
    rows: DataFrame, label: str, task: Task, more: Sequence[Column]
) -> tuple[Mapping[str, Any], Labels]:
    """The aggregates `more` and what the column `label` of `rows` holds, in one pass.

    The classes of a multiclass task are left out: `classes_of` counts them.

    Raises:
        DataError: no rows, or labels that the task does not know.
    """
    from pyspark.sql import functions as F

    value = F.col("label")
    finite = F.coalesce(F.abs(value) < float("inf"), F.lit(False))
    row = rows.agg(
        F.count("*").alias("rows"),
        F.count_if(value == 0).alias("zeros"),
        F.count_if(value == 1).alias("ones"),
        F.count_if(~finite).alias("unknown"),
        F.stddev_samp(F.when(finite, value)).alias("sample"),
        F.stddev_pop(F.when(finite, value)).alias("population"),
        *more,
    ).first()
    counts: dict[str, Any] = row.asDict() if row is not None else {"rows": 0}
    every = counts["rows"]
    if not every:
        raise DataError("there are no rows to fit on")
    if task == "regression":
        if counts["unknown"]:
            raise DataError(
                f"label {label} is null, NaN or infinite in {counts['unknown']} of {every} rows"
            )
        deviation = (counts["sample"] or 0.0, counts["population"] or 0.0)
        return counts, Labels(task=task, rows=every, deviation=deviation)
    if task == "multiclass":
        return counts, Labels(task=task, rows=every)
    other = every - counts["zeros"] - counts["ones"]
    if other:
        raise DataError(
            f"label {label} is null or neither 0 nor 1 in {other} of {every} rows; leave them out, "
            "or give task: multiclass (classes 0 to k - 1) or regression"
        )
    return counts, Labels(task=task, rows=every, counts=(counts["zeros"], counts["ones"]))


def classes_of(rows: DataFrame, label: str) -> Labels:
    """The classes of a multiclass label, in one pass.

    Raises:
        DataError: values that are no classes 0 to k - 1, a class that does not occur, or one alone.
    """
    counted = rows.groupBy("label").count().limit(MOST_CLASSES + 1).collect()
    found = {row["label"]: row["count"] for row in counted}
    if not found:
        raise DataError("there are no rows to fit on")
    strange = [value for value in found if value is None or value < 0 or value % 1 != 0]
    if strange:
        number = sum(found[value] for value in strange)
        raise DataError(
            f"label {label} is null or no whole number from 0 on in {number} rows; classes are "
            "numbered 0 to k - 1, as OrdinalIndex makes them"
        )
    if len(found) > MOST_CLASSES:
        raise DataError(f"label {label} has more than {MOST_CLASSES} values; is it a regression?")
    if len(found) < 2:
        raise DataError(f"label {label} has one class alone; two are needed")
    absent = sorted(set(range(int(max(found)) + 1)) - {int(value) for value in found})
    if absent:
        raise DataError(
            f"label {label} goes up to {int(max(found))}, but class {absent[0]} does not occur "
            f"among the training rows ({len(absent)} are missing); number the classes 0 to k - 1"
        )
    counts = tuple(found[float(value)] for value in range(len(found)))
    return Labels(task="multiclass", rows=sum(counts), counts=counts)


def class_weights(wanted: ClassWeight, labels: Labels) -> dict[int, float] | None:
    """The weight of every class; `balanced` weights let all classes count the same.

    Raises:
        ConfigError: weights for a regression, or not one for each class.
    """
    if wanted is None:
        return None
    if not labels.counts:
        raise ConfigError("class_weight is for classes; a regression has none")
    if wanted == "balanced":
        return {
            number: labels.rows / (labels.classes * count)
            for number, count in enumerate(labels.counts)
        }
    assert not isinstance(wanted, str)
    if set(wanted) != set(range(labels.classes)):
        raise ConfigError(
            f"class_weight has the classes {sorted(wanted)}; the label has 0 to "
            f"{labels.classes - 1}, and each needs a weight"
        )
    return {number: float(wanted[number]) for number in sorted(wanted)}
