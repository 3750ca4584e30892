"""Parse SQL text into an expression tree.

sqlglot reads the text; only the nodes listed here are taken over. The text itself never
reaches an engine, so a rule cannot run a subquery, call a user function or read a file.
"""

from __future__ import annotations

from typing import Any

from sparkmine.errors import ExpressionError
from sparkmine.expr import nodes as n

_FUNCTIONS = {
    "Abs": "abs",
    "Sqrt": "sqrt",
    "Exp": "exp",
    "Ln": "log",
    "Floor": "floor",
    "Ceil": "ceil",
    "Least": "least",
    "Greatest": "greatest",
    "Coalesce": "coalesce",
    "Lower": "lower",
    "Upper": "upper",
    "Trim": "trim",
    "Length": "length",
    "Sin": "sin",
    "Cos": "cos",
    "Pow": "pow",
    "ArrayContains": "array_contains",
    "Concat": "concat",
    "Year": "year",
    "Quarter": "quarter",
    "Month": "month",
    "Day": "day",
    "DayOfMonth": "day",
    "DayOfYear": "day_of_year",
    "Hour": "hour",
    "Minute": "minute",
}
# Functions that sqlglot does not know by a class of their own.
_BY_NAME = ("log1p", "expm1", "pmod", "weekday", "seconds", "hash")
# What people write first of what is not in the language, and what does the same.
_INSTEAD = {
    "Mod": "pmod(a, b)",
    "IntDiv": "floor(a / b)",
    "Like": "a rlike r'^begins'",
    "ILike": "lower(a) rlike r'^begins'",
    "DPipe": "concat(a, b)",
    "If": "case when a then b else c end",
    "NullSafeEQ": "a = b or (a is null and b is null)",
    "CurrentDate": "'${date}', the run's date",
}
_COMPARE = {"EQ": "=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}
_TYPES = {
    "DOUBLE": "double",
    "FLOAT": "double",
    "INT": "long",
    "BIGINT": "long",
    "TEXT": "string",
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamp",
}


def parse(text: str) -> n.Expr:
    """Parse one SQL expression, such as `quantity > 0 and week between 1 and 53`.

    Raises:
        ExpressionError: not SQL, or a construct outside the language; names the construct.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    if not isinstance(text, str) or not text.strip():
        raise ExpressionError("an expression must be SQL text, it is empty")
    try:
        tree = sqlglot.parse_one(text, dialect="spark")
    except SqlglotError as error:
        reason = str(error).splitlines()[0].replace("\x1b[4m", "").replace("\x1b[0m", "")
        raise ExpressionError(f"cannot read expression {text!r}: {reason}") from None
    return _convert(tree, text)


def _convert(tree: Any, text: str) -> n.Expr:
    kind = type(tree).__name__

    def child(node: Any) -> n.Expr:
        return _convert(node, text)

    if kind == "Paren":
        return child(tree.this)
    if kind == "Column":
        if tree.table:
            raise ExpressionError(
                f"{text!r}: a column is named without a table, not {tree.sql()!r}"
            )
        return n.Column(tree.name)
    if kind == "Literal":
        return n.Literal(tree.this if tree.is_string else _number(tree.this))
    if kind == "RawString":
        return n.Literal(tree.this)
    if kind == "Boolean":
        return n.Literal(bool(tree.this))
    if kind == "Null":
        return n.Literal(None)
    if kind == "Neg":
        inner = child(tree.this)
        if isinstance(inner, n.Literal) and isinstance(inner.value, int | float):
            return n.Literal(-inner.value)
        return -inner
    if kind in ("And", "Or"):
        return n.Logic(kind.lower(), child(tree.this), child(tree.expression))
    if kind == "Not":
        return n.Not(child(tree.this))
    if kind in _COMPARE:
        return n.Compare(_COMPARE[kind], child(tree.this), child(tree.expression))
    if kind == "NEQ":
        return n.Not(n.Compare("=", child(tree.this), child(tree.expression)))
    if kind == "Is" and type(tree.expression).__name__ == "Null":
        return n.IsNull(child(tree.this))
    if kind == "Between":
        operand = child(tree.this)
        return (operand >= child(tree.args["low"])) & (operand <= child(tree.args["high"]))
    if kind == "In" and tree.expressions:
        return n.IsIn(child(tree.this), tuple(_constant(item, text) for item in tree.expressions))
    if kind == "RegexpLike" and not tree.args.get("flag"):
        pattern = child(tree.expression)
        if not isinstance(pattern, n.Literal) or not isinstance(pattern.value, str):
            raise ExpressionError(f"{text!r}: the pattern after `rlike` is a constant text")
        return n.Matches(child(tree.this), pattern.value)
    if kind in _ARITHMETIC:
        return n.Arithmetic(_ARITHMETIC[kind], child(tree.this), child(tree.expression))
    if kind == "Case" and tree.this is None:
        default = tree.args.get("default")
        return n.Case(
            tuple(child(branch.this) for branch in tree.args["ifs"]),
            tuple(child(branch.args["true"]) for branch in tree.args["ifs"]),
            child(default) if default is not None else n.Literal(None),
        )
    if kind in ("Cast", "TryCast"):
        target = tree.to.this.name
        if target not in _TYPES:
            raise ExpressionError(f"{text!r}: no cast to {tree.to.sql()}")
        return n.Cast(child(tree.this), _TYPES[target])
    if kind == "IsNan":
        return n.IsNaN(child(tree.this))
    if kind in _FUNCTIONS:
        return n.Function(_FUNCTIONS[kind], tuple(child(part) for part in _arguments(tree)))
    if kind in ("Substring", "Left"):
        return _substring(tree, text)
    if kind == "TsOrDsToDate":
        return child(tree.this)  # sqlglot puts it around the argument of year() and the like
    if kind == "Anonymous" and tree.name.lower() in _BY_NAME:
        return n.Function(tree.name.lower(), tuple(child(part) for part in tree.expressions))
    instead = _INSTEAD.get(kind)
    raise ExpressionError(
        f"{text!r}: {tree.sql()!r} ({kind}) is not in the expression language"
        + (f"; write {instead}" if instead else "")
    )


def _substring(tree: Any, text: str) -> n.Expr:
    """`substr(text, start, length)` counts from 1; `left(text, length)` starts there."""
    parts: list[n.Expr]
    if type(tree).__name__ == "Left":
        parts = [n.Literal(1), _convert(tree.expression, text)]
    else:
        given = [tree.args.get(name) for name in ("start", "length")]
        parts = [n.Literal(None) if arg is None else _convert(arg, text) for arg in given]
    for part in parts:
        value = part.value if isinstance(part, n.Literal) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ExpressionError(
                f"{text!r}: start and length of a part of a text are whole numbers from 1"
            )
    return n.Function("substr", (_convert(tree.this, text), *parts))


def _arguments(tree: Any) -> list[Any]:
    extra = [
        key for key, value in tree.args.items() if value and key not in ("this", "expressions")
    ]
    extra = [key for key in extra if key not in ("is_null", "ignore_nulls", "safe")]
    second = [tree.expression] if type(tree).__name__ in ("Pow", "ArrayContains") else []
    extra = [key for key in extra if not (second and key == "expression")]
    if extra:
        raise ExpressionError(
            f"{tree.sql()!r}: option {extra[0]!r} is not in the expression language"
        )
    first = [tree.this] if tree.this is not None else []
    return [*first, *second, *tree.expressions]


def _constant(tree: Any, text: str) -> n.Scalar:
    value = _convert(tree, text)
    if not isinstance(value, n.Literal):
        raise ExpressionError(f"{text!r}: a list after `in` holds constants only")
    return value.value


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
