"""Rows of features and a 0/1 label in the form that Spark ML takes, checked before it sees them.

Spark ML fails on bad rows in the middle of a job with a stack trace, or fits one class without
a word. Here one pass over the cached rows counts what is wrong, and names the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import Expr, col
from sparkmine.lake.inputs import as_frame, need_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

    from sparkmine.lake import Snapshot

# Error messages name so many columns at most.
NAMED = 5


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """What a classifier is fitted on.

    Fields:
        frame: [features: Spark ML vector, label: double], cached.
        inputs: the expression of each element of the vector, in order.
        names: a readable name of each element; `pca[3]` for an element of an array column.
        rows: number of rows.
        positives: number of rows with label 1.
    """

    frame: DataFrame
    inputs: tuple[Expr, ...]
    names: tuple[str, ...]
    rows: int
    positives: int


@contextmanager
def training_rows(
    data: DataFrame | Snapshot,
    features: Sequence[str],
    label: str,
    spark: SparkSession | None = None,
) -> Iterator[TrainingRows]:
    """Checked training rows, cached while the block runs.

    Args:
        data: the rows.
        features: columns of numbers, booleans, or arrays of numbers of one length.
        label: column of 0 and 1 (numbers or booleans).
        spark: session in which a snapshot is read; by default the active one.

    Raises:
        ConfigError: no features, or a column is missing, repeated or of another type.
        DataError: no rows, a null, NaN or infinite feature, arrays of several lengths, a
            label other than 0 and 1, or only one class.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    df = as_frame(data, spark)
    arrays = _check_columns(df, features, label)
    numbers = [_doubles(name, arrays[name]).alias(f"f{n}") for n, name in enumerate(features)]
    rows = df.select(*numbers, F.col(_quoted(label)).cast("double").alias("label")).persist()
    try:
        counts = _count(rows, [arrays[name] for name in features])
        widths = _check_rows(counts, features, label)
        parts = [
            F.col(f"f{n}") if arrays[name] else F.array(f"f{n}") for n, name in enumerate(features)
        ]
        inputs: list[Expr] = []
        names: list[str] = []
        for name, width in zip(features, widths, strict=True):
            if arrays[name]:
                inputs += [col(name).item(place).cast("double") for place in range(width)]
                names += [f"{name}[{place}]" for place in range(width)]
            else:
                inputs.append(col(name).cast("double"))
                names.append(name)
        yield TrainingRows(
            # Not VectorAssembler: it hands on column metadata, which turns some continuous
            # columns into categories for trees, and it cannot take arrays.
            frame=rows.select(array_to_vector(F.concat(*parts)).alias("features"), "label"),
            inputs=tuple(inputs),
            names=tuple(names),
            rows=counts["rows"],
            positives=counts["ones"],
        )
    finally:
        rows.unpersist()


def check_label(df: DataFrame, label: str) -> tuple[int, int]:
    """Rows, and rows with label 1.

    Raises:
        ConfigError, DataError: as for `training_rows`; one class alone is accepted.
    """
    from pyspark.sql import functions as F

    _check_columns(df, [], label)
    rows = df.select(F.col(_quoted(label)).cast("double").alias("label"))
    counts = _count(rows, [])
    _check_label(counts, label)
    return counts["rows"], counts["ones"]


def _check_columns(df: DataFrame, features: Sequence[str], label: str) -> dict[str, bool]:
    """Which of the features are arrays."""
    from pyspark.sql.types import ArrayType, BooleanType, NumericType

    need_columns(df, [*features, label])
    repeated = sorted({name for name in features if list(features).count(name) > 1})
    if repeated or label in features:
        raise ConfigError(f"features name {', '.join(repeated) or f'the label {label}'} twice")

    def number(kind: DataType) -> bool:
        return isinstance(kind, NumericType | BooleanType)

    for name in [*features, label]:
        kind = df.schema[name].dataType
        array = isinstance(kind, ArrayType) and number(kind.elementType) and name != label
        if not (number(kind) or array):
            raise ConfigError(
                f"column {name} is {kind.simpleString()}, not a number; encode it in a recipe first"
            )
    return {name: isinstance(df.schema[name].dataType, ArrayType) for name in features}


def _count(rows: DataFrame, arrays: Sequence[bool]) -> dict[str, Any]:
    """Rows, labels by class, and per feature: rows with a bad value, least and most elements."""
    from pyspark.sql import functions as F

    def finite(value: Column) -> Column:
        return F.coalesce(F.abs(value) < float("inf"), F.lit(False))

    wanted = [
        F.count("*").alias("rows"),
        F.count_if(F.col("label") == 0).alias("zeros"),
        F.count_if(F.col("label") == 1).alias("ones"),
    ]
    for n, array in enumerate(arrays):
        value = F.col(f"f{n}")
        good = F.coalesce(F.forall(value, finite), F.lit(False)) if array else finite(value)
        wanted.append(F.count_if(~good).alias(f"bad{n}"))
        if array:
            wanted += [
                F.min(F.size(value)).alias(f"least{n}"),
                F.max(F.size(value)).alias(f"most{n}"),
            ]
    row = rows.agg(*wanted).first()
    return row.asDict() if row is not None else {}


def _check_rows(counts: dict[str, Any], features: Sequence[str], label: str) -> list[int]:
    """The number of elements of each feature (1 for a plain column)."""
    if not features:
        raise ConfigError("no features are named")
    _check_label(counts, label)
    rows, ones = counts["rows"], counts["ones"]
    bad = [(name, counts[f"bad{n}"]) for n, name in enumerate(features) if counts[f"bad{n}"]]
    if bad:
        listed = ", ".join(f"{name} ({count} rows)" for name, count in bad[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise DataError(
            f"null, NaN or infinite values among {rows} rows in {listed}{more}; impute them first"
        )
    if ones in (0, rows):
        raise DataError(
            f"label {label} is {int(ones > 0)} in all {rows} rows; two classes are needed"
        )
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


def _check_label(counts: dict[str, Any], label: str) -> None:
    rows = counts["rows"]
    if not rows:
        raise DataError("there are no rows to fit on")
    other = rows - counts["zeros"] - counts["ones"]
    if other:
        raise DataError(f"label {label} is null or neither 0 nor 1 in {other} of {rows} rows")


def _doubles(name: str, array: bool) -> Column:
    from pyspark.sql import functions as F

    return F.col(_quoted(name)).cast("array<double>" if array else "double")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
