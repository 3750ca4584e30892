"""A small expression language with two engines: Spark Columns and Arrow compute."""

from sparkmine.expr.arrow import evaluate
from sparkmine.expr.nodes import Array, Expr, Scalar, coalesce, col, function, lit, when
from sparkmine.expr.spark import to_column
from sparkmine.expr.sql import parse

__all__ = [
    "Array",
    "Expr",
    "Scalar",
    "coalesce",
    "col",
    "evaluate",
    "function",
    "lit",
    "parse",
    "to_column",
    "when",
]
