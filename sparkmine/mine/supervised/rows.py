"""Rows of features and a label in the form that Spark ML takes, checked before it sees them.

Spark ML fails on bad rows in the middle of a job with a stack trace, or fits one class without
a word. Here one pass over the cached rows counts what is wrong, and names the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import Expr, col
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.supervised.labels import (
    Labels,
    class_weights,
    classes_of,
    counted_labels,
)
from sparkmine.mine.supervised.settings import ClassWeight
from sparkmine.mine.supervised.sparse_vectors import sparse_vectors
from sparkmine.model import Task
from sparkmine.stats.sparse import is_sparse_in_spark

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

    from sparkmine.lake import Snapshot

# Error messages name so many columns at most.
NAMED = 5

Domain = Literal["finite", "non-negative", "0 or 1"]


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """What a model is fitted on.

    Fields:
        frame: [features: Spark ML vector, label: double], and `weight` if `weighted`; cached.
        columns: the features with the number of elements of each, 1 for a plain column.
        inputs: the expression of each element of the vector, in order.
        names: a readable name of each element; `pca[3]` for an element of an array column.
        labels: what the labels are.
        weights: the weight of each class; None where all rows count the same.
        sparse: whether there are sparse vectors among the features; then `inputs` is empty.
    """

    frame: DataFrame
    columns: tuple[tuple[str, int], ...]
    inputs: tuple[Expr, ...]
    names: tuple[str, ...]
    labels: Labels
    weights: Mapping[int, float] | None
    sparse: bool = False

    @property
    def weighted(self) -> dict[str, Any]:
        """What tells a Spark ML estimator of the weights."""
        return {} if self.weights is None else {"weightCol": "weight"}

    def details(self, method: str) -> dict[str, Any]:
        """What every report of a fitted model starts with."""
        weights = {str(number): weight for number, weight in (self.weights or {}).items()}
        weighted = {"class_weight": weights} if weights else {}
        return {"method": method, **self.labels.details(), **weighted}

    def deviations(self) -> dict[str, float]:
        """The standard deviation of each element of the vector: a pass over the cached rows."""
        from pyspark.ml.stat import Summarizer
        from pyspark.sql import functions as F

        row = self.frame.select(Summarizer.std(F.col("features")).alias("found")).first()
        assert row is not None  # an aggregation has one row
        return dict(zip(self.names, (float(v) for v in row["found"].toArray()), strict=True))


@contextmanager
def training_rows(
    data: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    spark: SparkSession | None = None,
    *,
    task: Task = "binary",
    class_weight: ClassWeight = None,
    domain: Domain = "finite",
    sparse: bool = False,
) -> Iterator[TrainingRows]:
    """Checked training rows, cached while the block runs.

    Args:
        data: the rows.
        features: columns of numbers, booleans, or arrays of numbers of one length.
        label: column of numbers or booleans; 0 and 1 for a binary task, the classes 0 to k - 1
            for a multiclass one, any finite number for a regression.
        spark: session in which a snapshot is read; by default the active one.
        class_weight: how much the rows of each class count.
        domain: what all features must be.
        sparse: whether features may be sparse vectors; then the vectors of Spark ML are.

    Raises:
        ConfigError: no features, or a column is missing, repeated or of another type; weights of
            classes that do not occur.
        DataError: no rows, a null, NaN or infinite feature or one outside the domain, arrays of
            several lengths, a label that the task does not know, or only one class.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    df = as_frame(data, spark)
    arrays = check_columns(df, features, label, sparse)
    vectors = {name for name in features if is_sparse_in_spark(df.schema[name].dataType)}
    numbers = [
        (F.col(_quoted(name)) if name in vectors else _doubles(name, arrays[name])).alias(f"f{n}")
        for n, name in enumerate(features)
    ]
    rows = df.select(*numbers, F.col(_quoted(label)).cast("double").alias("label")).persist()
    try:
        if not features:
            raise ConfigError("no features are named")
        wanted = [
            _bad_vectors(n) if name in vectors else _bad(n, arrays[name], domain)
            for n, name in enumerate(features)
        ]
        counts, labels = counted_labels(rows, label, task, [x for part in wanted for x in part])
        _check_features(counts, features, domain)
        widths = _widths(counts, features)
        if task == "multiclass":
            labels = classes_of(rows, label)
        elif task == "binary" and labels.positives in (0, labels.rows):
            raise DataError(
                f"label {label} is {int(bool(labels.positives))} in all {labels.rows} rows; "
                "two classes are needed"
            )
        parts = [
            F.col(f"f{n}") if arrays[name] else F.array(f"f{n}") for n, name in enumerate(features)
        ]
        inputs: list[Expr] = []
        names: list[str] = []
        for name, width in zip(features, widths, strict=True):
            if name in vectors:  # too many for names and expressions
                continue
            if arrays[name]:
                inputs += [col(name).item(place).cast("double") for place in range(width)]
                names += [f"{name}[{place}]" for place in range(width)]
            else:
                inputs.append(col(name).cast("double"))
                names.append(name)
        weights = class_weights(class_weight, labels)
        weight = [] if weights is None else [_weight(weights).alias("weight")]
        if vectors:
            frame = sparse_vectors(rows, len(features), widths).select("features", "label", *weight)
        else:
            # Not VectorAssembler: it hands on column metadata, which turns some continuous
            # columns into categories for trees, and it cannot take arrays.
            vector = array_to_vector(F.concat(*parts)).alias("features")
            frame = rows.select(vector, "label", *weight)
        yield TrainingRows(
            frame=frame,
            columns=tuple(zip(features, widths, strict=True)),
            inputs=tuple(inputs),
            names=tuple(names),
            labels=labels,
            weights=weights,
            sparse=bool(vectors),
        )
    finally:
        rows.unpersist()


def check_label(df: DataFrame, label: str, task: Task = "binary") -> tuple[int, int]:
    """Rows, and rows with label 1 (of two classes).

    Raises:
        ConfigError, DataError: as for `training_rows`; one class alone is accepted.
    """
    from pyspark.sql import functions as F

    check_columns(df, [], label)
    rows = df.select(F.col(_quoted(label)).cast("double").alias("label"))
    _, labels = counted_labels(rows, label, task, [])
    return labels.rows, labels.positives


def check_columns(
    df: DataFrame | Snapshot, features: Sequence[str], label: str, sparse: bool = False
) -> dict[str, bool]:
    """Which of the features are arrays.

    Args:
        sparse: whether they may be sparse vectors.

    Raises:
        ConfigError: a column is missing, repeated or does not hold numbers.
    """
    from pyspark.sql.types import ArrayType, BooleanType, NumericType

    need_columns(df, [*features, label])
    repeated = sorted({name for name in features if list(features).count(name) > 1})
    if repeated or label in features:
        raise ConfigError(f"features name {', '.join(repeated) or f'the label {label}'} twice")

    def number(kind: DataType) -> bool:
        return isinstance(kind, NumericType | BooleanType)

    for name in [*features, label]:
        kind = df.schema[name].dataType
        if is_sparse_in_spark(kind) and name != label:
            if sparse:
                continue
            raise ConfigError(
                f"column {name} holds sparse vectors, which `logistic` and `scikit_learn` take; "
                "leave out sparse: true in the recipe for other models"
            )
        array = isinstance(kind, ArrayType) and number(kind.elementType) and name != label
        if not (number(kind) or array):
            raise ConfigError(
                f"column {name} is {kind.simpleString()}, not a number; encode it in a recipe first"
            )
    return {name: isinstance(df.schema[name].dataType, ArrayType) for name in features}


def _bad(n: int, array: bool, domain: Domain) -> list[Column]:
    """Of a feature: rows with a bad value, rows outside the domain, least and most elements."""
    from pyspark.sql import functions as F

    def finite(value: Column) -> Column:
        return F.coalesce(F.abs(value) < float("inf"), F.lit(False))

    def outside(value: Column) -> Column:
        return value < 0 if domain == "non-negative" else ~value.isin(0.0, 1.0)

    value = F.col(f"f{n}")
    good = F.coalesce(F.forall(value, finite), F.lit(False)) if array else finite(value)
    wanted = [F.count_if(~good).alias(f"bad{n}")]
    if domain != "finite":
        strange = F.exists(value, outside) if array else outside(value)
        wanted.append(F.count_if(good & strange).alias(f"outside{n}"))
    if array:
        wanted += [
            F.min(F.size(value)).alias(f"least{n}"),
            F.max(F.size(value)).alias(f"most{n}"),
        ]
    return wanted


def _bad_vectors(n: int) -> list[Column]:
    """The same of a feature of sparse vectors."""
    from pyspark.sql import functions as F

    value, size = F.col(f"f{n}.values"), F.col(f"f{n}.size")
    good = F.coalesce(F.forall(value, lambda one: F.abs(one) < float("inf")), F.lit(False))
    return [
        F.count_if(~good | size.isNull()).alias(f"bad{n}"),
        F.min(size).alias(f"least{n}"),
        F.max(size).alias(f"most{n}"),
    ]


def _check_features(counts: Mapping[str, Any], features: Sequence[str], domain: Domain) -> None:
    for key, fault, cure in (
        ("bad", "null, NaN or infinite values", "impute them first"),
        ("outside", f"values that are not {domain}", "take another variant or other features"),
    ):
        found = [
            (name, counts[f"{key}{n}"])
            for n, name in enumerate(features)
            if counts.get(f"{key}{n}")
        ]
        if found:
            listed = ", ".join(f"{name} ({count} rows)" for name, count in found[:NAMED])
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            raise DataError(f"{fault} among {counts['rows']} rows in {listed}{more}; {cure}")


def _widths(counts: Mapping[str, Any], features: Sequence[str]) -> list[int]:
    """The number of elements of each feature (1 for a plain column)."""
    widths = [1] * len(features)
    for n, name in enumerate(features):
        if f"most{n}" in counts:
            least, most = counts[f"least{n}"], counts[f"most{n}"]
            if least != most:
                raise DataError(
                    f"arrays in {name} have {least} to {most} elements; one length is needed"
                )
            widths[n] = most
    return widths


def _weight(weights: Mapping[int, float]) -> Column:
    from pyspark.sql import functions as F

    table = F.array(*(F.lit(float(weights[number])) for number in range(len(weights))))
    return F.get(table, F.col("label").cast("int"))


def _doubles(name: str, array: bool) -> Column:
    from pyspark.sql import functions as F

    return F.col(_quoted(name)).cast("array<double>" if array else "double")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
