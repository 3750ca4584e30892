"""Compile an expression to a native Spark Column (no Python in the plan).

It is written as SQL text, which Spark parses at once: built from Columns, each node would cost a
few calls into the JVM, of a millisecond each. The text is made from the tree alone. Operators are
written as function calls with their quoted names, as in `+`(a, b): nested parentheses would make
Spark's parser look ahead to the end of each.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from sparkmine.errors import ExpressionError
from sparkmine.expr import nodes as n
from sparkmine.expr.functions import DEFINITIONS, Definition
from sparkmine.expr.grid import position
from sparkmine.expr.pattern import java
from sparkmine.expr.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pyspark.sql import Column

# Texts that mean themselves between quotes, whatever the session says of escapes and variables.
_PLAIN = re.compile(r"[^'\"\\$\x00-\x1f]*")
_SQL_TYPES = {"long": "bigint", "array": "array<double>"}
_SQL_FUNCTIONS = {"log": "ln"}
_TEXT_FUNCTIONS = ("lower", "upper", "trim", "length")


def to_column(expr: n.Expr) -> Column:
    """The Spark Column that computes `expr`; names are resolved where it is used."""
    from pyspark.sql import functions as F

    return F.expr(to_sql(expr))


def to_sql(expr: n.Expr) -> str:
    """The text that Spark parses."""
    return _compile(expr, {})


def _compile(expr: n.Expr, known: dict[int, str]) -> str:
    """A node may stand in several places; its text is made once."""
    if id(expr) not in known:
        known[id(expr)] = _node(expr, lambda child: _compile(child, known))
    return known[id(expr)]


def _node(expr: n.Expr, sql: Callable[[n.Expr], str]) -> str:
    match expr:
        case n.Column(name):
            return "`" + name.replace("`", "``") + "`"
        case n.Literal(value):
            return _literal(value)
        case n.Arithmetic(op, left, right):
            name = "try_divide" if op == "/" else f"`{op}`"
            return f"{name}({_double(sql(left))}, {_double(sql(right))})"
        case n.Compare(op, left, right) | n.Logic(op, left, right):
            return f"`{op}`({sql(left)}, {sql(right)})"
        case n.Not(operand):
            return f"`not`({sql(operand)})"
        case n.IsNull(operand):
            return f"isnull({sql(operand)})"
        case n.IsNaN(operand):
            return f"isnan({sql(operand)})"
        case n.IsIn(operand, values):
            if not values:
                return _case([(f"isnotnull({sql(operand)})", "false")])
            return f"`in`({', '.join([sql(operand), *map(_literal, values)])})"
        case n.Matches(operand, pattern):
            return f"rlike(string({sql(operand)}), {_literal(java(pattern))})"
        case n.Case(conditions, results, otherwise):
            pairs = zip(conditions, results, strict=True)
            return _case(
                [(sql(condition), sql(result)) for condition, result in pairs], sql(otherwise)
            )
        case n.Function(name, arguments) if name in DEFINITIONS:
            return _defined(DEFINITIONS[name], [sql(argument) for argument in arguments])
        case n.Function(name, arguments):
            return _function(name, [sql(argument) for argument in arguments])
        case n.Cast(operand, to):
            return f"try_cast({sql(operand)} AS {_SQL_TYPES.get(to, to)})"
        case n.Item(operand, index):
            return f"get({sql(operand)}, {_literal(index)})"
        case n.Lookup(operand, table, default):
            return _lookup(sql(operand), table, default)
        case n.Bucket(operand, edges):
            return _bucket(_double(sql(operand)), edges)
        case n.Interpolate(operand, xs, ys):
            return _interpolate(_double(sql(operand)), xs, ys)
        case n.Array(items):
            return f"array({', '.join(_double(sql(item)) for item in items)})"
    raise ExpressionError(f"no Spark form of node {expr.node!r}")


def _literal(value: n.Scalar) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}"
        case float():
            # The shortest text that reads back as the same double.
            return f"{value!r}D" if math.isfinite(value) else f"double('{value}')"
        case str():
            if _PLAIN.fullmatch(value):
                return f"'{value}'"
            return f"decode(unhex('{value.encode().hex()}'), 'UTF-8')"
        case datetime.datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
            since = aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
            return f"timestamp_micros({since // datetime.timedelta(microseconds=1)})"
        case datetime.date():
            return f"DATE'{value.isoformat()}'"
    raise ExpressionError(f"a constant of type {type(value).__name__} is no part of the language")


def _double(text: str) -> str:
    """As a number; null where text is none."""
    return f"try_cast({text} AS DOUBLE)"


def _case(pairs: list[tuple[str, str]], otherwise: str = "NULL") -> str:
    chain = " ".join(f"WHEN {condition} THEN {result}" for condition, result in pairs)
    return f"CASE {chain} ELSE {otherwise} END"


def _function(name: str, arguments: list[str]) -> str:
    if name in ("least", "greatest", "coalesce"):
        # One argument is its own minimum; Spark's functions want two.
        return arguments[0] if len(arguments) == 1 else f"{name}({', '.join(arguments)})"
    if name in _TEXT_FUNCTIONS:
        return f"{name}({arguments[0]})"
    operand = _double(arguments[0])
    if name in ("floor", "ceil"):
        # Spark's floor returns a long, which has no NaN or infinity: keep those as they are.
        small = f"`<`(abs({operand}), {_literal(2.0**52)})"
        return _case([(small, _double(f"{name}({operand})"))], operand)
    return f"{_SQL_FUNCTIONS.get(name, name)}({operand})"


def _defined(definition: Definition, arguments: list[str]) -> str:
    casts = definition.casts(len(arguments)) or ()
    ready = [
        f"try_cast({text} AS {_SQL_TYPES.get(to, to)})" if to else text
        for text, to in zip(arguments, casts, strict=True)
    ]
    return definition.spark.format(*ready, all=", ".join(ready))


def _lookup(operand: str, table: Vocabulary, default: float | None) -> str:
    found = _double(_literal(default))
    if len(table):
        keys, values = table.keys.to_pylist(), table.values.tolist()
        pairs = [_literal(item) for pair in zip(keys, values, strict=True) for item in pair]
        key = lookup_key(operand, table)
        found = f"coalesce(try_element_at(map({', '.join(pairs)}), {key}), {found})"
    return _case([(f"isnotnull({operand})", found)])


def lookup_key(operand: str, table: Vocabulary) -> str:
    """The operand as it is compared with the keys."""
    return f"try_cast({operand} AS BIGINT)" if table.integers else f"string({operand})"


def _bucket(operand: str, edges: tuple[float, ...]) -> str:
    """A balanced tree of comparisons: log2(edges) of them per row; of many edges a table."""

    def search(low: int, high: int) -> str:
        if low == high:
            return _literal(float(low))
        middle = (low + high) // 2
        above = f"`>=`({operand}, {_literal(edges[middle])})"
        return _case([(above, search(middle + 1, high))], search(low, middle))

    if len(edges) <= _LARGEST_TREE:
        return _case([(f"isnotnull({operand})", search(0, len(edges)))])
    at = position(operand, edges, _literal)
    found = _searched(operand, edges, f"double({_AT})") if at is None else f"double({at})"
    return _case([(f"isnotnull({operand})", found)])


# A tree of more comparisons becomes a Java method that is too large to be compiled.
_LARGEST_TREE = 32
_AT, _STEP = "`sparkmine at`", "`sparkmine step`"  # names that shadow no column


def _searched(operand: str, edges: tuple[float, ...], result: str) -> str:
    """`result`, in which _AT is the number of `edges` at or below the operand, by bisection."""
    steps = [1 << bit for bit in reversed(range(len(edges).bit_length()))]
    edge = f"get({_numbers(edges)}, {_AT} + {_STEP} - 1)"  # null behind the last one
    further = _case([(f"`<=`({edge}, {operand})", f"{_AT} + {_STEP}")], _AT)
    powers = f"array({', '.join(map(str, steps))})"
    return f"aggregate({powers}, 0, ({_AT}, {_STEP}) -> {further}, {_AT} -> {result})"


def _interpolate(operand: str, xs: tuple[float, ...], ys: tuple[float, ...]) -> str:
    """The Arrow form computes on the segment that is found with the same steps."""
    runs = tuple(after - before for before, after in itertools.pairwise(xs))
    rises = tuple(after - before for before, after in itertools.pairwise(ys))
    result = _case([(f"{_AT} = 0", _literal(ys[0]))], _literal(ys[-1]))
    if runs:
        x, y, run, rise = (f"get({_numbers(v)}, {_AT} - 1)" for v in (xs, ys, runs, rises))
        line = f"{y} + try_divide({operand} - {x}, {run}) * {rise}"
        ends = [(f"{_AT} = 0", _literal(ys[0])), (f"{_AT} = {len(xs)}", _literal(ys[-1]))]
        result = _case(ends, line)
    missing = f"`or`(isnull({operand}), isnan({operand}))"
    at = position(operand, xs, _literal)
    found = _searched(operand, xs, result) if at is None else result.replace(_AT, at)
    return _case([(missing, operand)], found)


def _numbers(values: tuple[float, ...]) -> str:
    return f"array({', '.join(map(_literal, values))})"
