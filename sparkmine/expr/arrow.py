"""Evaluate an expression on an Arrow table or record batch, with Spark's meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ExpressionError
from sparkmine.expr import nodes as n
from sparkmine.expr.functions import DEFINITIONS, Definition, list_of
from sparkmine.expr.pattern import shared
from sparkmine.expr.texts import from_text
from sparkmine.expr.vocabulary import Vocabulary

Block = Any  # a pa.Table or a pa.RecordBatch; Arrow has no types for mypy
_ARROW_TYPES = {
    "double": pa.float64(),
    "long": pa.int64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "array": pa.list_(pa.float64()),
}


def evaluate(expr: n.Expr, block: Block) -> pa.Array:
    """The values of `expr` for the rows of `block`, as one array of its length.

    Raises:
        ExpressionError: a column is missing, or a cast has no defined meaning.
    """
    return _array(_evaluate(expr, block), block.num_rows)


def _evaluate(expr: n.Expr, block: Block) -> Any:
    """An array of the block's length, or an Arrow scalar for constants."""
    match expr:
        case n.Column(name):
            index = block.schema.get_field_index(name)
            if index < 0:
                raise ExpressionError(f"column {name!r} is not among {block.schema.names}")
            column = block.column(index)
            if not isinstance(column, pa.ChunkedArray):
                return column
            # Arrow copies even a single chunk that it combines.
            return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        case n.Literal(value):
            return pa.scalar(value)
        case n.Arithmetic(op, left, right):
            return _arithmetic(op, _number(left, block), _number(right, block))
        case n.Compare(op, left, right):
            return _compare(op, _evaluate(left, block), _evaluate(right, block))
        case n.Logic("and", left, right):
            return pc.and_kleene(_logical(left, block), _logical(right, block))
        case n.Logic("or", left, right):
            return pc.or_kleene(_logical(left, block), _logical(right, block))
        case n.Not(operand):
            return pc.invert(_logical(operand, block))
        case n.IsNull(operand):
            return pc.is_null(_evaluate(operand, block))
        case n.IsNaN(operand):
            values = _number(operand, block)
            return pc.fill_null(pc.is_nan(values), False)
        case n.IsIn(operand, values):
            return _is_in(_evaluate(operand, block), values)
        case n.Matches(operand, pattern):
            return pc.match_substring_regex(
                _cast(_evaluate(operand, block), "string"), shared(pattern)
            )
        case n.Case(conditions, values, otherwise):
            return _case(conditions, values, otherwise, block)
        case n.Function(name, arguments) if name in DEFINITIONS:
            return _defined(DEFINITIONS[name], arguments, block)
        case n.Function(name, arguments):
            return _function(name, arguments, block)
        case n.Cast(operand, to):
            return _cast(_evaluate(operand, block), to)
        case n.Item(operand, index):
            return _item(_array(_evaluate(operand, block), block.num_rows), index)
        case n.Lookup(operand, table, default):
            return _lookup(_evaluate(operand, block), table, default, block.num_rows)
        case n.Bucket(operand, edges):
            found = _array(_number(operand, block), block.num_rows)
            numbers = found.to_numpy(zero_copy_only=False)
            indexes = np.searchsorted(np.asarray(edges), numbers, side="right").astype(np.float64)
            return pa.array(indexes, mask=_null_mask(found))
        case n.Interpolate(operand, xs, ys):
            return _interpolate(_array(_number(operand, block), block.num_rows), xs, ys)
        case n.Array(items):
            return list_of([_array(_number(item, block), block.num_rows) for item in items])
    raise ExpressionError(f"no Arrow form of node {expr.node!r}")


def _array(value: Any, rows: int) -> pa.Array:
    if isinstance(value, pa.Scalar):
        return pa.repeat(value, rows) if value.is_valid else pa.nulls(rows, value.type)
    return value


def _null_mask(array: pa.Array) -> np.ndarray | None:
    return pc.is_null(array).to_numpy(zero_copy_only=False) if array.null_count else None


def _number(expr: n.Expr, block: Block) -> Any:
    return _cast(_evaluate(expr, block), "double")


def _logical(expr: n.Expr, block: Block) -> Any:
    value = _evaluate(expr, block)
    return pc.cast(value, pa.bool_()) if pa.types.is_null(value.type) else value


def _arithmetic(op: str, left: Any, right: Any) -> Any:
    if op == "+":
        return pc.add(left, right)
    if op == "-":
        return pc.subtract(left, right)
    if op == "*":
        return pc.multiply(left, right)
    zero = pc.equal(right, 0.0)
    return pc.divide(left, pc.if_else(zero, pa.scalar(None, pa.float64()), right))


def _compare(op: str, left: Any, right: Any) -> Any:
    left, right = _common(left, right)
    if not pa.types.is_floating(left.type):
        return _PLAIN[op](left, right)
    # Spark orders NaN above everything and equal to itself; Arrow follows IEEE 754.
    plain, left_nan, right_nan = _PLAIN[op](left, right), pc.is_nan(left), pc.is_nan(right)
    if op == "=":
        return pc.or_(plain, pc.and_(left_nan, right_nan))
    if op == "<":
        return pc.or_(plain, pc.and_(right_nan, pc.invert(left_nan)))
    if op == ">":
        return pc.or_(plain, pc.and_(left_nan, pc.invert(right_nan)))
    return pc.or_(plain, right_nan if op == "<=" else left_nan)


_PLAIN = {
    "=": pc.equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


def _common(left: Any, right: Any) -> tuple[Any, Any]:
    """Bring both sides to one type: strings follow the other side, as in Spark."""
    a, b = left.type, right.type
    if a == b:
        return left, right
    if pa.types.is_null(a):
        return pa.scalar(None, b), right
    if pa.types.is_null(b):
        return left, pa.scalar(None, a)
    if pa.types.is_string(a) or pa.types.is_large_string(a):
        return _cast(left, _name(b)), _cast(right, _name(b))
    if pa.types.is_string(b) or pa.types.is_large_string(b):
        return _cast(left, _name(a)), _cast(right, _name(a))
    if pa.types.is_temporal(a) or pa.types.is_temporal(b):
        return _cast(left, "timestamp"), _cast(right, "timestamp")
    if pa.types.is_integer(a) and pa.types.is_integer(b):
        return pc.cast(left, pa.int64()), pc.cast(right, pa.int64())
    return _cast(left, "double"), _cast(right, "double")


def _name(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "string"
    return "double"


def _cast(value: Any, to: str) -> Any:
    if to not in _ARROW_TYPES:
        raise ExpressionError(f"there is no cast to {to} in Arrow; Spark has it")
    target, source = _ARROW_TYPES[to], value.type
    if source == target:
        return value
    if pa.types.is_null(source):
        return pc.cast(value, target)
    if pa.types.is_string(source) or pa.types.is_large_string(source):
        if to == "string":
            return pc.cast(value, target)
        return from_text(value, to)
    if pa.types.is_timestamp(source) and source.tz is None and to == "timestamp":
        return pc.cast(pc.cast(value, pa.timestamp("us")), pa.timestamp("us")).cast(target)
    if to == "string" and (pa.types.is_floating(source) or pa.types.is_timestamp(source)):
        raise ExpressionError(f"cast of {source} to string differs between engines; it is refused")
    if to in ("long", "double") and pa.types.is_timestamp(source):
        seconds = _seconds(value)
        return pc.cast(pc.floor(seconds), target) if to == "long" else seconds
    if to == "timestamp" and pa.types.is_integer(source):
        # Seconds, as in Spark; beyond the years that there are, the last moment.
        last = (2**63 - 1) // 1_000_000
        bounded = pc.min_element_wise(pc.cast(value, pa.int64()), last, skip_nulls=False)
        bounded = pc.max_element_wise(bounded, -last, skip_nulls=False)
        return pc.cast(pc.multiply(bounded, 1_000_000), target)
    if to == "long" and pa.types.is_floating(source):
        inside = pc.and_(pc.greater_equal(value, -(2.0**63)), pc.less(value, 2.0**63))
        return pc.cast(pc.trunc(pc.if_else(inside, value, pa.scalar(None, source))), target)
    if to == "boolean":
        return pc.not_equal(_cast(value, "double"), 0.0)
    if pa.types.is_boolean(source):
        return (
            pc.cast(pc.cast(value, pa.int8()), target) if to != "string" else pc.cast(value, target)
        )
    return pc.cast(value, target, safe=False)


def _seconds(value: Any) -> Any:
    """Seconds since 1970 as a double, the fraction too."""
    micros = pc.cast(pc.cast(value, pa.timestamp("us", value.type.tz)), pa.int64())
    return pc.divide(pc.cast(micros, pa.float64(), safe=False), 1e6)


def _is_in(value: Any, values: tuple[n.Scalar, ...]) -> Any:
    wanted = pa.array([v for v in values if v is not None])
    if pa.types.is_integer(value.type) and pa.types.is_floating(wanted.type):
        value = _cast(value, "double")
    found = pc.is_in(value, value_set=pc.cast(wanted, value.type))
    if None in values:  # x in (1, null) is true or unknown, never false
        found = pc.if_else(found, True, pa.scalar(None, pa.bool_()))
    return pc.if_else(pc.is_null(value), pa.scalar(None, pa.bool_()), found)


def _case(
    conditions: tuple[n.Expr, ...], values: tuple[n.Expr, ...], otherwise: n.Expr, block: Block
) -> Any:
    found = _evaluate(otherwise, block)
    for condition, value in zip(reversed(conditions), reversed(values), strict=True):
        branch, found = _unify(_evaluate(value, block), found)
        found = pc.if_else(pc.fill_null(_logical(condition, block), False), branch, found)
    return found


def _unify(left: Any, right: Any) -> tuple[Any, Any]:
    if left.type == right.type:
        return left, right
    if pa.types.is_null(left.type):
        return pa.scalar(None, right.type), right
    if pa.types.is_null(right.type):
        return left, pa.scalar(None, left.type)
    return _common(left, right)


def _function(name: str, arguments: tuple[n.Expr, ...], block: Block) -> Any:
    if name in ("least", "greatest", "coalesce"):
        found = _evaluate(arguments[0], block)
        for argument in arguments[1:]:
            found, other = _unify(found, _evaluate(argument, block))
            if name == "coalesce":
                found = pc.if_else(pc.is_valid(found), found, other)
            else:
                # Null where either is null: then the coalesce below takes the valid one.
                wins = _compare("<=" if name == "least" else ">=", found, other)
                best = pc.if_else(wins, found, other)
                found = pc.coalesce(best, found, other)
        return found
    if name in ("lower", "upper", "length"):
        kernel = {"lower": pc.utf8_lower, "upper": pc.utf8_upper, "length": pc.utf8_length}[name]
        return kernel(_evaluate(arguments[0], block))
    if name == "trim":
        return pc.utf8_trim(_evaluate(arguments[0], block), characters=" ")
    operand = _number(arguments[0], block)
    if name in ("log", "log1p"):
        inside = pc.or_(pc.greater(operand, 0.0 if name == "log" else -1.0), pc.is_nan(operand))
        operand = pc.if_else(inside, operand, pa.scalar(None, pa.float64()))
        return pc.ln(operand) if name == "log" else pc.log1p(operand)
    return {"abs": pc.abs, "sqrt": pc.sqrt, "exp": pc.exp, "floor": pc.floor, "ceil": pc.ceil}[
        name
    ](operand)


def _defined(definition: Definition, arguments: tuple[n.Expr, ...], block: Block) -> pa.Array:
    casts = definition.casts(len(arguments)) or ()
    ready = []
    for argument, to in zip(arguments, casts, strict=True):
        value = _evaluate(argument, block)
        ready.append(_array(_cast(value, to) if to else value, block.num_rows))
    return definition.arrow(*ready)


def _interpolate(array: pa.Array, xs: tuple[float, ...], ys: tuple[float, ...]) -> pa.Array:
    numbers = array.to_numpy(zero_copy_only=False)
    points, levels = np.asarray(xs), np.asarray(ys)
    index = np.searchsorted(points, numbers, side="right") - 1
    found = levels[np.clip(index, 0, None)]
    between = (index >= 0) & (index < len(points) - 1)
    at = index[between]
    share = (numbers[between] - points[at]) / (points[at + 1] - points[at])
    found[between] = levels[at] + share * (levels[at + 1] - levels[at])
    found[np.isnan(numbers)] = np.nan
    return pa.array(found, mask=_null_mask(array))


def _item(array: pa.Array, index: int) -> pa.Array:
    if pa.types.is_fixed_size_list(array.type):
        if index >= array.type.list_size:
            return pa.nulls(len(array), array.type.value_type)
        return pc.list_element(array, index)
    long_enough = pc.fill_null(pc.greater(pc.list_value_length(array), index), False)
    picked = pc.list_flatten(pc.list_slice(array.filter(long_enough), index, index + 1))
    positions = pc.cumulative_sum(pc.cast(long_enough, pa.int64()))
    none = pa.scalar(None, pa.int64())
    return picked.take(pc.if_else(long_enough, pc.subtract(positions, 1), none))


def _lookup(value: Any, table: Vocabulary, default: float | None, rows: int) -> pa.Array:
    wanted = _array(_cast(value, "long" if table.integers else "string"), rows)
    indexes = pc.index_in(wanted, value_set=table.keys)
    found = pa.array(table.values).take(indexes)
    filled = found if default is None else pc.fill_null(found, default)
    return pc.if_else(pc.is_null(wanted), pa.scalar(None, pa.float64()), filled)
