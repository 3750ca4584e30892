"""A fitted model of several classes that is one expression a class over the columns of a row.

Like `ExpressionModel`, it scores natively in Spark, and is saved as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ExpressionError, ModelError
from sparkmine.expr import Expr, evaluate, to_column
from sparkmine.lake.inputs import need_columns
from sparkmine.mine.expression_model import FILE
from sparkmine.model import Model
from sparkmine.scoring import packed, with_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, kw_only=True)
class ClassModel(Model):
    """Adds `probability`, an array with one double a class, and `prediction`, the class (int).

    Fields:
        expressions: the probability of each class, in order; where one of them is null or NaN, so
            are the row's results null.
        details: what was fitted, for reports; JSON values only.
    """

    expressions: tuple[Expr, ...]
    details: dict[str, Any] = field(default_factory=dict)

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with both added (or replaced); of equally probable classes the first is predicted.

        Raises:
            ConfigError: a column that an expression reads is missing.
        """
        from pyspark.sql import functions as F

        need_columns(df, sorted({name for each in self.expressions for name in each.columns}))
        columns = [to_column(each).cast("double") for each in self.expressions]
        found = F.array(*columns)
        known = F.forall(found, lambda value: value.isNotNull() & ~F.isnan(value))
        added = df.withColumn("probability", F.when(known, found))
        largest = F.array_position("probability", F.array_max("probability"))
        return added.withColumn("prediction", (largest - 1).cast("int"))

    def transform_arrow(self, table: pa.Table) -> pa.Table:
        columns = [pc.cast(evaluate(each, table), pa.float64()) for each in self.expressions]
        found = np.column_stack([one.to_numpy(zero_copy_only=False) for one in columns])
        # Arrow's nulls are NaN here.
        known = ~np.isnan(found).any(axis=1)
        found[~known] = 0.0
        scores = packed(found, known, "multiclass")
        for name, values in zip(("prediction", "probability"), scores.flatten(), strict=True):
            table = with_column(table, name, values)
        return table

    def _write(self, folder: Path) -> None:
        state = {
            "expressions": [each.to_json() for each in self.expressions],
            "details": self.details,
        }
        (folder / FILE).write_text(json.dumps(state, indent=1) + "\n")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        state = json.loads((folder / FILE).read_text())
        try:
            expressions = tuple(Expr.from_json(each) for each in state["expressions"])
        except (ExpressionError, KeyError) as error:
            raise ModelError(f"{folder / FILE} does not hold expressions: {error}") from None
        return cls(expressions=expressions, details=state["details"])
