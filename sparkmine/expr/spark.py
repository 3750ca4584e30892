"""Compile an expression to a native Spark Column (no Python in the plan)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sparkmine.errors import ExpressionError
from sparkmine.expr import nodes as n

if TYPE_CHECKING:
    from pyspark.sql import Column


def to_column(expr: n.Expr) -> Column:
    """The Spark Column that computes `expr`; names are resolved where it is used."""
    return _compile(expr, {})


def _compile(expr: n.Expr, known: dict[int, Column]) -> Column:
    """A node that stands in several places is compiled once: each costs calls into the JVM."""
    if id(expr) not in known:
        known[id(expr)] = _node(expr, lambda child: _compile(child, known))
    return known[id(expr)]


def _node(expr: n.Expr, to_column: Callable[[n.Expr], Column]) -> Column:
    from pyspark.sql import functions as F

    match expr:
        case n.Column(name):
            return F.col("`" + name.replace("`", "``") + "`")
        case n.Literal(value):
            return F.lit(value)
        case n.Arithmetic(op, left, right):
            return _arithmetic(op, to_column(left).cast("double"), to_column(right).cast("double"))
        case n.Compare(op, left, right):
            return _COMPARE[op](to_column(left), to_column(right))
        case n.Logic("and", left, right):
            return to_column(left) & to_column(right)
        case n.Logic("or", left, right):
            return to_column(left) | to_column(right)
        case n.Not(operand):
            return ~to_column(operand)
        case n.IsNull(operand):
            return to_column(operand).isNull()
        case n.IsNaN(operand):
            return F.isnan(to_column(operand))
        case n.IsIn(operand, constants):
            return to_column(operand).isin(list(constants))
        case n.Case(conditions, results, otherwise):
            chain = F.when(to_column(conditions[0]), to_column(results[0]))
            for condition, result in zip(conditions[1:], results[1:], strict=True):
                chain = chain.when(to_column(condition), to_column(result))
            return chain.otherwise(to_column(otherwise))
        case n.Function(name, arguments):
            return _function(name, [to_column(argument) for argument in arguments])
        case n.Cast(operand, to):
            return to_column(operand).try_cast(to)
        case n.Item(operand, index):
            return F.get(to_column(operand), F.lit(index))
        case n.Lookup(operand, keys, values, default):
            return _lookup(to_column(operand), keys, values, default)
        case n.Bucket(operand, edges):
            return _bucket(to_column(operand).cast("double"), edges)
    raise ExpressionError(f"no Spark form of node {expr.node!r}")


_COMPARE: dict[str, Callable[[Column, Column], Column]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _arithmetic(op: str, left: Column, right: Column) -> Column:
    from pyspark.sql import functions as F

    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op == "*":
        return left * right
    return F.try_divide(left, right)


def _function(name: str, arguments: list[Column]) -> Column:
    from pyspark.sql import functions as F

    if name in ("least", "greatest", "coalesce"):
        # One argument is its own minimum; Spark's functions want two.
        return arguments[0] if len(arguments) == 1 else getattr(F, name)(*arguments)
    operand = arguments[0]
    if name in ("lower", "upper", "trim", "length"):
        return getattr(F, name)(operand)
    operand = operand.cast("double")
    if name in ("floor", "ceil"):
        # Spark's floor returns a long, which has no NaN or infinity: keep those as they are.
        whole = getattr(F, name)(operand).cast("double")
        return F.when(F.abs(operand) < 2.0**52, whole).otherwise(operand)
    return getattr(F, name)(operand)


def _lookup(
    operand: Column, keys: tuple[str, ...], values: tuple[float, ...], default: float | None
) -> Column:
    from pyspark.sql import functions as F

    if not keys:
        return F.when(operand.isNotNull(), F.lit(default).cast("double"))
    pairs = [F.lit(item) for pair in zip(keys, values, strict=True) for item in pair]
    found = F.try_element_at(F.create_map(*pairs), operand.cast("string"))
    return F.when(operand.isNotNull(), F.coalesce(found, F.lit(default).cast("double")))


def _bucket(operand: Column, edges: tuple[float, ...]) -> Column:
    """A balanced tree of comparisons: log2(edges) of them per row."""
    from pyspark.sql import functions as F

    def search(low: int, high: int) -> Column:
        if low == high:
            return F.lit(float(low))
        middle = (low + high) // 2
        return F.when(operand >= edges[middle], search(middle + 1, high)).otherwise(
            search(low, middle)
        )

    return F.when(operand.isNotNull(), search(0, len(edges)))
