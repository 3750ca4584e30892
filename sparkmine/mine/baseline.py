"""What a model has to beat: predictions that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import col, function, lit, when
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.expression_model import ExpressionModel, where_known
from sparkmine.mine.supervised.labels import classes_of
from sparkmine.mine.supervised.rows import check_columns, check_label
from sparkmine.mine.supervised.settings import for_tasks
from sparkmine.mine.supervised.trees import DecisionTree
from sparkmine.mine.supervised.trees_model import TreesModel
from sparkmine.model import Model, Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class MajorityClass:
    """Every row gets the shares of the classes in the training rows, hence the most frequent one.

    Fields:
        task: of two classes, 0 and 1, or of several, 0 to k - 1.
    """

    task: Literal["binary", "multiclass"] = "binary"

    def fit(
        self, train: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> ExpressionModel | ClassModel:
        """Count the classes: one scan.

        Raises:
            ConfigError: no such column, or not a number.
            DataError: no rows, or a label that is none of the classes.
        """
        if self.task == "multiclass":
            counts = _class_counts(as_frame(train, spark), label)
            shares = tuple(lit(count / sum(counts)) for count in counts)
            details = {"method": "majority_class", "rows": sum(counts), "counts": counts}
            return ClassModel(expressions=shares, details=details)
        rows, positives = check_label(as_frame(train, spark), label)
        details = {"method": "majority_class", "rows": rows, "positives": positives}
        return ExpressionModel(expression=lit(positives / rows), details=details)


@dataclass(frozen=True, kw_only=True)
class Persistence:
    """The next period is as the last one: the prediction is a column of the row.

    Fields:
        column: what was in the last period, such as "shopped in the last 7 days" (0 or 1), the
            class of last month, or last week's sales.
        task: of two classes, 0 and 1, of several, 0 to k - 1, or of numbers.
    """

    column: str
    task: Task = "binary"

    def fit(
        self,
        train: DataFrame | Snapshot,
        label: str | None = None,
        spark: SparkSession | None = None,
    ) -> ExpressionModel | ClassModel:
        """Check that the column holds what the label can be: one scan.

        Args:
            label: of several classes, the label, whose classes the column has; else not read.

        Raises:
            ConfigError: no such column, or not a number; several classes without a label.
            DataError: no rows, or a value that cannot be a label.
        """
        for_tasks(self, self.task, "binary", "multiclass", "regression")
        df = as_frame(train, spark)
        need_columns(df, [self.column])
        last = col(self.column).cast("double")
        details: dict[str, Any] = {"method": "persistence", "column": self.column}
        if self.task == "multiclass":
            if label is None:
                raise ConfigError("persistence of several classes needs the label")
            counts = _class_counts(df, label)
            details |= {"rows": sum(counts), "classes": len(counts)}
            _check_classes(df, self.column, len(counts))
            there = last.is_in([float(place) for place in range(len(counts))])
            shares = (
                when(last == place, lit(1.0)).otherwise(when(there, lit(0.0)).otherwise(None))
                for place in range(len(counts))
            )
            return ClassModel(expressions=tuple(shares), details=details)
        rows, positives = check_label(df, self.column, self.task)
        details |= {"rows": rows}
        if self.task == "binary":
            details |= {"positives": positives}
        return ExpressionModel(expression=where_known([last], last), details=details)


# A hash of 32 bits modulo this prime is a number in [0, 1) for practical purposes.
_PRIME = 2_147_483_629


@dataclass(frozen=True, kw_only=True)
class StratifiedRandom:
    """A guess for each row: a class as often as in the training rows, whatever the row holds.

    Fields:
        task: of two classes, 0 and 1, or of several, 0 to k - 1.
        keys: columns that name a row; the guess is a function of their hash and the seed, so it is
            the same in every run and for any partitioning.
        seed: another seed, other guesses.
    """

    keys: Sequence[str]
    seed: int = 0
    task: Literal["binary", "multiclass"] = "binary"

    def fit(
        self, train: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> ExpressionModel | ClassModel:
        """Count the classes: one scan.

        Raises:
            ConfigError: no such column, or not a number.
            DataError: no rows, or a label that is none of the classes.
        """
        if not self.keys:
            raise ConfigError("a stratified random guess needs keys, the columns that name a row")
        df = as_frame(train, spark)
        need_columns(df, self.keys)
        texts = [function("coalesce", col(name).cast("string"), "") for name in self.keys]
        # The seed comes first: what differs early differs in all bits of the hash.
        named = function("concat", f"{self.seed}", *(x for text in texts for x in ("/", text)))
        place = function("pmod", function("hash", named), _PRIME) / float(_PRIME)
        details = {"method": "stratified_random", "keys": list(self.keys), "seed": self.seed}
        if self.task == "multiclass":
            counts = _class_counts(df, label)
            ends = [end / sum(counts) for end in accumulate(counts)]
            each = [
                when((place >= low) & (place < high), lit(1.0)).otherwise(lit(0.0))
                for low, high in pairwise([0.0, *ends])
            ]
            details |= {"rows": sum(counts), "counts": counts}
            return ClassModel(expressions=tuple(each), details=details)
        rows, positives = check_label(df, label)
        guess = when(place < positives / rows, lit(1.0)).otherwise(lit(0.0))
        details |= {"rows": rows, "positives": positives}
        return ExpressionModel(expression=guess, details=details)


def _check_classes(df: DataFrame, column: str, classes: int) -> None:
    """Raise DataError unless all values of a column are classes 0 to `classes` - 1."""
    from pyspark.sql import functions as F

    check_columns(df, [], column)
    value = F.col(f"`{column}`").cast("double")
    known = F.coalesce(value.isin(*map(float, range(classes))), F.lit(False))
    bad = df.where(~known).count()
    if bad:
        raise DataError(
            f"column {column} is null or none of the classes 0 to {classes - 1} of the label in "
            f"{bad} rows"
        )


def _class_counts(df: DataFrame, label: str) -> list[int]:
    """Rows of each of the classes 0 to k - 1.

    Raises:
        ConfigError, DataError: as for `MajorityClass.fit`.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import NumericType

    need_columns(df, [label])
    kind = df.schema[label].dataType
    if not isinstance(kind, NumericType):
        raise ConfigError(f"label {label} is {kind.simpleString()}, not a class from 0 to k - 1")
    rows = df.select(F.col(f"`{label}`").cast("double").alias("label"))
    return list(classes_of(rows, label).counts)


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Every row gets the mean or the median of the label: what a regression has to beat.

    Fields:
        statistic: the mean is best by squared error, the median by absolute error.
    """

    statistic: Literal["mean", "median"] = "mean"

    def fit(
        self, train: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> ExpressionModel:
        """Compute it, exactly: one scan.

        Raises:
            ConfigError: no such column, or not a number; an unknown statistic.
            DataError: no rows, or a label that is null or not finite.
        """
        from pyspark.sql import functions as F
        from pyspark.sql.types import NumericType

        if self.statistic not in ("mean", "median"):
            raise ConfigError(f"statistic is {self.statistic!r}; it must be mean or median")
        df = as_frame(train, spark)
        need_columns(df, [label])
        if not isinstance(df.schema[label].dataType, NumericType):
            kind = df.schema[label].dataType.simpleString()
            raise ConfigError(f"label {label} is {kind}, not a number; cast it in a query")
        value = F.col(f"`{label}`").cast("double")
        finite = F.coalesce(F.abs(value) < float("inf"), F.lit(False))
        function_ = F.mean if self.statistic == "mean" else F.median
        found = df.agg(
            F.count("*").alias("rows"),
            F.count_if(~finite).alias("bad"),
            function_(value).alias("value"),
        ).first()
        if found is None or not found["rows"]:
            raise DataError("there are no rows to fit on")
        if found["bad"]:
            raise DataError(
                f"label {label} is null, NaN or infinite in {found['bad']} of {found['rows']} rows"
            )
        details = {"method": self.statistic, "rows": found["rows"], "value": found["value"]}
        return ExpressionModel(expression=lit(float(found["value"])), details=details)


@dataclass(frozen=True, kw_only=True)
class SingleRule:
    """The best rule over one column: a decision stump, as strong as many problems need (Holte,
    "Very simple classification rules perform well on most commonly used datasets", Machine
    Learning 11, 1993). The prediction is what the training rows on the row's side of the threshold
    have: the share of class 1, of each class, or the mean.

    Fields:
        task: of two classes, 0 and 1, of several, 0 to k - 1, or of numbers.
        max_buckets: most candidate thresholds per feature, from its quantiles.
    """

    task: Task = "binary"
    max_buckets: int = 256

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> Model:
        """Try every column; the arguments and errors are those of `DecisionTree.fit`."""
        stump = DecisionTree(task=self.task, max_depth=1, max_buckets=self.max_buckets)
        fitted = stump.fit(train, features, label, seed=seed, spark=spark)
        assert isinstance(fitted, ExpressionModel | TreesModel)
        return replace(fitted, details={**fitted.details, "method": "single_rule"})
