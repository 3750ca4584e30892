"""A small expression language with two engines: Spark Columns and Arrow compute."""

from sparkmine.expr.arrow import evaluate
from sparkmine.expr.join import frame_of, join_lookups, read_files
from sparkmine.expr.nodes import (
    Array,
    Expr,
    Lookup,
    Scalar,
    coalesce,
    col,
    equalities,
    function,
    lit,
    when,
)
from sparkmine.expr.places import place_of
from sparkmine.expr.spark import to_column
from sparkmine.expr.sql import parse
from sparkmine.expr.vocabulary import FiledVocabulary, Vocabulary

__all__ = [
    "Array",
    "Expr",
    "FiledVocabulary",
    "Lookup",
    "Scalar",
    "Vocabulary",
    "coalesce",
    "col",
    "equalities",
    "evaluate",
    "frame_of",
    "function",
    "join_lookups",
    "lit",
    "parse",
    "place_of",
    "read_files",
    "to_column",
    "when",
]
