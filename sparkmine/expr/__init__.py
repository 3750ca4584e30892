"""A small expression language with two engines: Spark Columns and Arrow compute."""

from sparkmine.expr.arrow import evaluate
from sparkmine.expr.join import join_lookups
from sparkmine.expr.nodes import (
    Array,
    Expr,
    Lookup,
    Scalar,
    coalesce,
    col,
    function,
    lit,
    when,
)
from sparkmine.expr.spark import to_column
from sparkmine.expr.sql import parse
from sparkmine.expr.vocabulary import Vocabulary

__all__ = [
    "Array",
    "Expr",
    "Lookup",
    "Scalar",
    "Vocabulary",
    "coalesce",
    "col",
    "evaluate",
    "function",
    "join_lookups",
    "lit",
    "parse",
    "to_column",
    "when",
]
