"""What a model has to beat: predictions that need no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import col, function, lit, when
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.expression_model import ExpressionModel, where_known
from sparkmine.mine.supervised.labels import classes_of
from sparkmine.mine.supervised.rows import check_label
from sparkmine.mine.supervised.trees import DecisionTree

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
    """The next period is as the last one: the prediction is a 0/1 column of the row.

    Fields:
        column: what happened in the last period, such as "shopped in the last 7 days".
    """

    column: str

    def fit(
        self,
        train: DataFrame | Snapshot,
        label: str | None = None,
        spark: SparkSession | None = None,
    ) -> ExpressionModel:
        """Check that the column holds 0 and 1 only: one scan. `label` is not read.

        Raises:
            ConfigError: no such column, or not a number.
            DataError: no rows, or a value other than 0 and 1.
        """
        df = as_frame(train, spark)
        need_columns(df, [self.column])
        rows, positives = check_label(df, self.column)
        last = col(self.column).cast("double")
        details = {
            "method": "persistence",
            "column": self.column,
            "rows": rows,
            "positives": positives,
        }
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
            raise ConfigError(f"label {label} is {df.schema[label].dataType.simpleString()}")
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
    Learning 11, 1993). The prediction is the share of class 1 on the row's side of the threshold.

    Fields:
        max_buckets: most candidate thresholds per feature, from its quantiles.
    """

    max_buckets: int = 256

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> ExpressionModel:
        """Try every column; the arguments and errors are those of `DecisionTree.fit`."""
        stump = DecisionTree(max_depth=1, max_buckets=self.max_buckets)
        fitted = stump.fit(train, features, label, seed=seed, spark=spark)
        assert isinstance(fitted, ExpressionModel)
        return ExpressionModel(
            expression=fitted.expression, details={**fitted.details, "method": "single_rule"}
        )
