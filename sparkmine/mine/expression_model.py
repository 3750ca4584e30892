"""A fitted model that is one expression over the columns of a row.

It scores natively in Spark (no Python and no Spark ML in the plan) and on Arrow blocks without
Spark, and is saved as JSON. Logistic regressions, trees, baselines and ensembles all are one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ExpressionError, ModelError
from sparkmine.expr import Expr, evaluate, function, lit, to_column, when
from sparkmine.lake.inputs import need_columns
from sparkmine.model import Model
from sparkmine.scoring import with_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FILE = "model.json"


@dataclass(frozen=True, kw_only=True)
class ExpressionModel(Model):
    """Adds the value of `expression`, as double, in the column `output`.

    Fields:
        expression: for classifiers the probability of class 1; null where an input that it needs
            is null, NaN or infinite.
        output: name of the column with the result.
        details: what was fitted, for reports (method, coefficients, rows); JSON values only.
    """

    expression: Expr
    output: str = "prediction"
    details: dict[str, Any] = field(default_factory=dict)

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `output` added (or replaced).

        Raises:
            ConfigError: a column that the expression reads is missing.
        """
        need_columns(df, self.expression.columns)
        return df.withColumn(self.output, to_column(self.expression).cast("double"))

    def transform_arrow(self, table: pa.Table) -> pa.Table:
        return with_column(table, self.output, self.evaluate(table))

    def evaluate(self, table: pa.Table | pa.RecordBatch) -> pa.Array:
        """The results for the rows of an Arrow table or batch, as doubles [rows]."""
        return pc.cast(evaluate(self.expression, table), pa.float64())

    def _write(self, folder: Path) -> None:
        state = {
            "expression": self.expression.to_json(),
            "output": self.output,
            "details": self.details,
        }
        (folder / FILE).write_text(json.dumps(state, indent=1) + "\n")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        state = json.loads((folder / FILE).read_text())
        try:
            expression = Expr.from_json(state["expression"])
        except (ExpressionError, KeyError) as error:
            raise ModelError(f"{folder / FILE} does not hold an expression: {error}") from None
        return cls(expression=expression, output=state["output"], details=state["details"])


def total(terms: Sequence[Expr]) -> Expr:
    """The sum of `terms` as a balanced tree: a long chain would overflow the planner's stack."""
    return _join(list(terms) or [lit(0.0)], "+")


def where_known(inputs: Iterable[Expr], value: Expr) -> Expr:
    """`value`, or null where one of the `inputs`, doubles, is null, NaN or infinite."""
    unknown = [function("finite", number).is_null() for number in inputs]
    return when(_join(unknown, "|"), None).otherwise(value) if unknown else value


def _join(terms: list[Expr], op: str) -> Expr:
    while len(terms) > 1:
        pairs = [terms[place : place + 2] for place in range(0, len(terms), 2)]
        terms = [
            pair[0] if len(pair) == 1 else pair[0] + pair[1] if op == "+" else pair[0] | pair[1]
            for pair in pairs
        ]
    return terms[0]
