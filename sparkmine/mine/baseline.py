"""What a model has to beat: predictions that need no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.expr import col, lit
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.mine.expression_model import ExpressionModel, where_known
from sparkmine.mine.training_rows import check_label

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class MajorityClass:
    """Every row gets the share of class 1 in the training rows, hence the more frequent class."""

    def fit(
        self, train: DataFrame | Snapshot, label: str, spark: SparkSession | None = None
    ) -> ExpressionModel:
        """Count the classes: one scan.

        Raises:
            ConfigError: no such column, or not a number.
            DataError: no rows, or a label other than 0 and 1.
        """
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
