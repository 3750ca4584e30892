"""The expression tree: what a fitted operator, a row rule or a filter says about one row.

A node is an immutable value. It knows its columns, its JSON form and nothing about engines;
`spark.py` and `arrow.py` compile it. The meaning is SQL's: three-valued logic, a null in gives
a null out unless a node says otherwise. In detail, and the same on both engines:

- arithmetic is in double precision; division by zero is null;
- NaN equals NaN and is larger than every number (as in Spark);
- `log1p` and `log` outside their domain are null, `sqrt` of a negative number is NaN;
- `least` and `greatest` skip nulls;
- the functions of `functions.py` give null for a null argument.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from sparkmine.errors import ExpressionError
from sparkmine.expr.functions import DEFINITIONS
from sparkmine.expr.pattern import shared
from sparkmine.expr.vocabulary import Vocabulary

Scalar = None | bool | int | float | str | datetime.date | datetime.datetime

_NODES: dict[str, type[Expr]] = {}


@dataclass(frozen=True, eq=False)
class Expr:
    """Base of all nodes. Compare trees with `same`; `==` builds a comparison node."""

    node: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.node in _NODES:
            raise TypeError(f"expression node {cls.node!r} is defined twice")
        _NODES[cls.node] = cls

    @property
    def children(self) -> tuple[Expr, ...]:
        found: list[Expr] = []
        for field in fields(self):
            found.extend(_expressions(getattr(self, field.name)))
        return tuple(found)

    @property
    def columns(self) -> frozenset[str]:
        """Names of the input columns that the expression reads."""
        return frozenset().union(*(child.columns for child in self.children))

    def substitute(self, replacements: Mapping[str, Expr]) -> Expr:
        """Replace column references by expressions (to compose fitted steps)."""
        changed = {f.name: _substitute(getattr(self, f.name), replacements) for f in fields(self)}
        return type(self)(**changed)

    def rebuilt(self, place: Callable[[Expr], Expr | None]) -> Expr:
        """The tree with every node for which `place` gives another one replaced by that."""
        found = place(self)
        if found is not None:
            return found
        changed = {f.name: _rebuilt(getattr(self, f.name), place) for f in fields(self)}
        return type(self)(**changed)

    def walk(self) -> Iterator[Expr]:
        """The node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def same(self, other: Expr) -> bool:
        return self.to_json() == other.to_json()

    def to_json(self) -> dict[str, Any]:
        return {
            "node": self.node,
            **{f.name: _to_json(getattr(self, f.name)) for f in fields(self)},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Expr:
        """Rebuild a tree.

        Raises:
            ExpressionError: unknown node, or fields that do not fit it.
        """
        kind = _NODES.get(str(data.get("node")))
        if kind is None:
            raise ExpressionError(f"unknown expression node {data.get('node')!r}")
        names = {f.name for f in fields(kind)}
        if set(data) - {"node"} != names:
            raise ExpressionError(f"node {kind.node!r} takes {sorted(names)}, got {sorted(data)}")
        return kind(**{name: _from_json(data[name]) for name in names})

    # Python operators build nodes.
    def __add__(self, other: Expr | Scalar) -> Expr:
        return Arithmetic("+", self, as_expr(other))

    def __radd__(self, other: Scalar) -> Expr:
        return Arithmetic("+", as_expr(other), self)

    def __sub__(self, other: Expr | Scalar) -> Expr:
        return Arithmetic("-", self, as_expr(other))

    def __rsub__(self, other: Scalar) -> Expr:
        return Arithmetic("-", as_expr(other), self)

    def __mul__(self, other: Expr | Scalar) -> Expr:
        return Arithmetic("*", self, as_expr(other))

    def __rmul__(self, other: Scalar) -> Expr:
        return Arithmetic("*", as_expr(other), self)

    def __truediv__(self, other: Expr | Scalar) -> Expr:
        return Arithmetic("/", self, as_expr(other))

    def __rtruediv__(self, other: Scalar) -> Expr:
        return Arithmetic("/", as_expr(other), self)

    def __neg__(self) -> Expr:
        return Arithmetic("-", Literal(0.0), self)

    def __eq__(self, other: Expr | Scalar) -> Expr:  # type: ignore[override]
        return Compare("=", self, as_expr(other))

    def __ne__(self, other: Expr | Scalar) -> Expr:  # type: ignore[override]
        return Not(Compare("=", self, as_expr(other)))

    def __lt__(self, other: Expr | Scalar) -> Expr:
        return Compare("<", self, as_expr(other))

    def __le__(self, other: Expr | Scalar) -> Expr:
        return Compare("<=", self, as_expr(other))

    def __gt__(self, other: Expr | Scalar) -> Expr:
        return Compare(">", self, as_expr(other))

    def __ge__(self, other: Expr | Scalar) -> Expr:
        return Compare(">=", self, as_expr(other))

    def __and__(self, other: Expr | Scalar) -> Expr:
        return Logic("and", self, as_expr(other))

    def __or__(self, other: Expr | Scalar) -> Expr:
        return Logic("or", self, as_expr(other))

    def __invert__(self) -> Expr:
        return Not(self)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("an expression has no truth value; use & | ~ instead of and, or, not")

    def is_null(self) -> Expr:
        return IsNull(self)

    def is_nan(self) -> Expr:
        """True for NaN, false for every other value and for null."""
        return IsNaN(self)

    def is_in(self, values: Iterable[Scalar]) -> Expr:
        return IsIn(self, tuple(values))

    def matches(self, pattern: str) -> Expr:
        """True where the regular expression is found in the text; anchor it to match the whole."""
        return Matches(self, pattern)

    def cast(self, to: str) -> Expr:
        """To `double`, `long`, `string`, `boolean`, `date` or `timestamp`; null where it fails."""
        return Cast(self, to)

    def item(self, index: int) -> Expr:
        """Element `index` (from 0) of an array column; null past its end."""
        return Item(self, index)

    def lookup(self, table: Vocabulary | Mapping[str, float], default: float | None = None) -> Expr:
        """The number that `table` holds for this value, else `default`; null stays null.

        The value is compared as a string, or as an integer where the table's keys are integers.
        """
        found = table if isinstance(table, Vocabulary) else Vocabulary.of(table)
        return Lookup(self, found, default)

    def bucket(self, edges: Sequence[float]) -> Expr:
        """How many of the ascending `edges` are less than or equal to the value."""
        return Bucket(self, tuple(float(edge) for edge in edges))

    def interpolate(self, xs: Sequence[float], ys: Sequence[float]) -> Expr:
        """The line through the points (`xs` ascending), constant before and after; NaN stays."""
        return Interpolate(self, tuple(float(x) for x in xs), tuple(float(y) for y in ys))


@dataclass(frozen=True, eq=False)
class Column(Expr):
    node = "column"
    name: str

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({self.name})

    def substitute(self, replacements: Mapping[str, Expr]) -> Expr:
        return replacements.get(self.name, self)


@dataclass(frozen=True, eq=False)
class Literal(Expr):
    node = "literal"
    value: Scalar

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _plain(self.value))


@dataclass(frozen=True, eq=False)
class Arithmetic(Expr):
    node = "arithmetic"
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Compare(Expr):
    node = "compare"
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Logic(Expr):
    node = "logic"
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Not(Expr):
    node = "not"
    operand: Expr


@dataclass(frozen=True, eq=False)
class IsNull(Expr):
    node = "is_null"
    operand: Expr


@dataclass(frozen=True, eq=False)
class IsNaN(Expr):
    node = "is_nan"
    operand: Expr


@dataclass(frozen=True, eq=False)
class IsIn(Expr):
    node = "is_in"
    operand: Expr
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(_plain(value) for value in self.values))


@dataclass(frozen=True, eq=False)
class Matches(Expr):
    """True where the pattern (`pattern.py` says which) is found in the text, anywhere in it."""

    node = "matches"
    operand: Expr
    pattern: str

    def __post_init__(self) -> None:
        shared(self.pattern)


@dataclass(frozen=True, eq=False)
class Case(Expr):
    """The value of the first true condition, else `otherwise`."""

    node = "case"
    conditions: tuple[Expr, ...]
    values: tuple[Expr, ...]
    otherwise: Expr


@dataclass(frozen=True, eq=False)
class Function(Expr):
    """One of `FUNCTIONS` over its arguments."""

    node = "function"
    name: str
    arguments: tuple[Expr, ...]

    def __post_init__(self) -> None:
        if self.name not in FUNCTIONS:
            raise ExpressionError(f"no function {self.name!r}; there are {', '.join(FUNCTIONS)}")
        found = DEFINITIONS.get(self.name)
        if found is not None and found.casts(len(self.arguments)) is None:
            raise ExpressionError(
                f"function {self.name} takes {len(found.takes)} arguments, "
                f"not {len(self.arguments)}"
            )


@dataclass(frozen=True, eq=False)
class Cast(Expr):
    """To one of `CASTS`; Spark alone also casts to `decimal(p,s)`, which is no part of the SQL."""

    node = "cast"
    operand: Expr
    to: str

    def __post_init__(self) -> None:
        if self.to not in CASTS and not _DECIMAL.fullmatch(self.to):
            raise ExpressionError(f"no cast to {self.to!r}; there are {', '.join(CASTS)}")


@dataclass(frozen=True, eq=False)
class Item(Expr):
    node = "item"
    operand: Expr
    index: int


@dataclass(frozen=True, eq=False)
class Lookup(Expr):
    node = "lookup"
    operand: Expr
    table: Vocabulary
    default: float | None


@dataclass(frozen=True, eq=False)
class Bucket(Expr):
    node = "bucket"
    operand: Expr
    edges: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Interpolate(Expr):
    node = "interpolate"
    operand: Expr
    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in itertools.pairwise(self.xs))
        if not self.xs or len(self.xs) != len(self.ys) or not rising:
            raise ExpressionError("interpolation wants ascending xs and as many ys")


@dataclass(frozen=True, eq=False)
class Array(Expr):
    """An array of doubles, one of each item; a null item is a null element."""

    node = "array"
    items: tuple[Expr, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ExpressionError("an array wants at least one item")


FUNCTIONS = (
    *("abs", "sqrt", "exp", "log", "log1p", "floor", "ceil", "least", "greatest", "coalesce"),
    *("lower", "upper", "trim", "length"),
    *DEFINITIONS,
)
CASTS = ("double", "long", "string", "boolean", "date", "timestamp")
_DECIMAL = re.compile(r"decimal\(\d+,\d+\)")


@dataclass(frozen=True)
class When:
    """A `when(...)` chain that still lacks its `otherwise`."""

    conditions: tuple[Expr, ...]
    values: tuple[Expr, ...]

    def when(self, condition: Expr, value: Expr | Scalar) -> Self:
        return type(self)((*self.conditions, condition), (*self.values, as_expr(value)))

    def otherwise(self, value: Expr | Scalar) -> Expr:
        return Case(self.conditions, self.values, as_expr(value))


def as_expr(value: Expr | Scalar) -> Expr:
    return value if isinstance(value, Expr) else Literal(value)


def col(name: str) -> Expr:
    """The column `name` of the row."""
    return Column(name)


def lit(value: Scalar) -> Expr:
    """A constant."""
    return Literal(value)


def when(condition: Expr, value: Expr | Scalar) -> When:
    return When((condition,), (as_expr(value),))


def function(name: str, *arguments: Expr | Scalar) -> Expr:
    return Function(name, tuple(as_expr(argument) for argument in arguments))


def coalesce(*arguments: Expr | Scalar) -> Expr:
    """The first argument that is not null."""
    return function("coalesce", *arguments)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    return value.item() if hasattr(value, "item") else value


def _expressions(value: object) -> Iterable[Expr]:
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, tuple):
        yield from (item for item in value if isinstance(item, Expr))


def _substitute(value: Any, replacements: Mapping[str, Expr]) -> Any:
    if isinstance(value, Expr):
        return value.substitute(replacements)
    if isinstance(value, tuple) and value and isinstance(value[0], Expr):
        return tuple(item.substitute(replacements) for item in value)
    return value


def _rebuilt(value: Any, place: Callable[[Expr], Expr | None]) -> Any:
    if isinstance(value, Expr):
        return value.rebuilt(place)
    if isinstance(value, tuple) and value and isinstance(value[0], Expr):
        return tuple(item.rebuilt(place) for item in value)
    return value


def _to_json(value: Any) -> Any:
    if isinstance(value, Expr):
        return value.to_json()
    if isinstance(value, Vocabulary):
        return {"vocabulary": value.to_json()}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, datetime.datetime):
        return {"timestamp": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}  # JSON has no NaN and no infinity
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if isinstance(value, dict):
        if "timestamp" in value:
            return datetime.datetime.fromisoformat(value["timestamp"])
        if "date" in value:
            return datetime.date.fromisoformat(value["date"])
        if "double" in value:
            return float(value["double"])
        if "vocabulary" in value:
            found = value["vocabulary"]
            return found if isinstance(found, Vocabulary) else Vocabulary.from_json(found)
        return Expr.from_json(value)
    return value


def equalities(condition: Expr) -> dict[str, Any]:
    """The columns that the condition sets equal to a constant, with their constants."""
    match condition:
        case Logic("and", one, two):
            return {**equalities(one), **equalities(two)}
        case Compare("=", Column(name), Literal(value)) | Compare(
            "=", Literal(value), Column(name)
        ):
            return {name: value}
    return {}
