"""Which columns an operator works on, as plain values.

Selectors see the schema at their position in the recipe. `numeric()` takes plain numbers only,
not indexes, buckets or one-hot columns. They combine by `&`, `|`, `~` and `-`.
"""

from __future__ import annotations

import ast
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from sparkmine.errors import RecipeError
from sparkmine.recipe.columns import (
    ARRAY,
    BOOLEAN,
    BUCKET,
    NUMBER,
    ONE_HOT,
    TEXT,
    TIME,
    VECTOR,
    ColumnInfo,
)


class Selector(ABC):
    """Base of all selectors."""

    @abstractmethod
    def matches(self, column: ColumnInfo) -> bool:
        """True if the selector takes this column."""

    def names(self) -> tuple[str, ...]:
        """Columns that are named one by one, which therefore must exist."""
        return ()

    def reads_patterns(self) -> bool:
        """True if a regular expression decides: no stand-in for unknown names can satisfy it."""
        return False

    def pick(self, columns: Sequence[ColumnInfo]) -> list[ColumnInfo]:
        """The columns it takes, in the order of the schema.

        Raises:
            RecipeError: a column named one by one is not there.
        """
        present = {column.name for column in columns}
        missing = [name for name in self.names() if name not in present]
        if missing:
            raise RecipeError(f"no column {missing[0]!r}; there are {sorted(present)}")
        return [column for column in columns if self.matches(column)]

    def __and__(self, other: Selector) -> Selector:
        return _Both(self, other)

    def __or__(self, other: Selector) -> Selector:
        return _Either(self, other)

    def __invert__(self) -> Selector:
        return _Not(self)

    def __sub__(self, other: Selector) -> Selector:
        return _Both(self, _Not(other))


@dataclass(frozen=True)
class _Kind(Selector):
    function: str
    kinds: tuple[str, ...]

    def matches(self, column: ColumnInfo) -> bool:
        return column.kind in self.kinds

    def __str__(self) -> str:
        return f"{self.function}()"


@dataclass(frozen=True)
class _Named(Selector):
    wanted: tuple[str, ...]

    def matches(self, column: ColumnInfo) -> bool:
        return column.name in self.wanted

    def names(self) -> tuple[str, ...]:
        return self.wanted

    def __str__(self) -> str:
        return f"select({', '.join(map(repr, self.wanted))})"


@dataclass(frozen=True)
class _StartsWith(Selector):
    prefix: str

    def matches(self, column: ColumnInfo) -> bool:
        return column.name.startswith(self.prefix)

    def __str__(self) -> str:
        return f"starts_with({self.prefix!r})"


@dataclass(frozen=True)
class _Matches(Selector):
    pattern: str

    def matches(self, column: ColumnInfo) -> bool:
        return re.search(self.pattern, column.name) is not None

    def reads_patterns(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"matches({self.pattern!r})"


@dataclass(frozen=True)
class _Both(Selector):
    left: Selector
    right: Selector

    def matches(self, column: ColumnInfo) -> bool:
        return self.left.matches(column) and self.right.matches(column)

    def names(self) -> tuple[str, ...]:
        return (*self.left.names(), *self.right.names())

    def reads_patterns(self) -> bool:
        return self.left.reads_patterns() or self.right.reads_patterns()

    def __str__(self) -> str:
        return f"({self.left} & {self.right})"


@dataclass(frozen=True)
class _Either(Selector):
    left: Selector
    right: Selector

    def matches(self, column: ColumnInfo) -> bool:
        return self.left.matches(column) or self.right.matches(column)

    def names(self) -> tuple[str, ...]:
        return (*self.left.names(), *self.right.names())

    def reads_patterns(self) -> bool:
        return self.left.reads_patterns() or self.right.reads_patterns()

    def __str__(self) -> str:
        return f"({self.left} | {self.right})"


@dataclass(frozen=True)
class _Not(Selector):
    operand: Selector

    def matches(self, column: ColumnInfo) -> bool:
        return not self.operand.matches(column)

    def names(self) -> tuple[str, ...]:
        return self.operand.names()

    def reads_patterns(self) -> bool:
        return self.operand.reads_patterns()

    def __str__(self) -> str:
        return f"~{self.operand}"


def numeric() -> Selector:
    """Plain numbers."""
    return _Kind("numeric", (NUMBER,))


def categorical() -> Selector:
    """Text and booleans."""
    return _Kind("categorical", (TEXT, BOOLEAN))


def temporal() -> Selector:
    """Dates and timestamps."""
    return _Kind("temporal", (TIME,))


def text() -> Selector:
    """Text."""
    return _Kind("text", (TEXT,))


def arrays() -> Selector:
    """Lists of text."""
    return _Kind("arrays", (ARRAY,))


def features() -> Selector:
    """What a model takes: numbers, booleans, buckets, one-hot columns and vectors."""
    return _Kind("features", (NUMBER, BOOLEAN, BUCKET, ONE_HOT, VECTOR))


def select(*names: str) -> Selector:
    """The columns with these names; each must exist."""
    return _Named(tuple(names))


def starts_with(prefix: str) -> Selector:
    """Columns whose name starts so."""
    return _StartsWith(prefix)


def matches(pattern: str) -> Selector:
    """Columns in whose name the regular expression is found.

    Raises:
        RecipeError: it is no regular expression.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise RecipeError(f"matches({pattern!r}) has no regular expression: {error}") from None
    return _Matches(pattern)


_FUNCTIONS = {
    function.__name__: function
    for function in (
        *(numeric, categorical, temporal, text, arrays, features),
        *(select, starts_with, matches),
    )
}


def parse_selector(value: str | Sequence[str]) -> Selector:
    """A selector from YAML: a list of names, or text such as `numeric() - starts_with('x_')`.

    Raises:
        RecipeError: anything but the selector functions, names and `& | ~ -`.
    """
    if not isinstance(value, str):
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise RecipeError(f"columns are a selector or a list of names, not {value!r}")
        return select(*value)
    if re.fullmatch(r"\w+", value):
        return select(value)
    try:
        with warnings.catch_warnings():
            # Python warns of '\d' and takes '\b' as something else: both should be r'...'.
            warnings.simplefilter("error", SyntaxWarning)
            warnings.simplefilter("error", DeprecationWarning)
            tree = ast.parse(value, mode="eval")
    except SyntaxError as error:
        hint = "; write backslashes as r'...'" if "\\" in value else ""
        raise RecipeError(f"cannot read selector {value!r}: {error.msg}{hint}") from None
    return _build(tree.body, value)


def _build(node: ast.expr, source: str) -> Selector:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function = _FUNCTIONS.get(node.func.id)
        arguments = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        texts = [argument for argument in arguments if isinstance(argument, str)]
        if function is not None and len(texts) == len(node.args):
            try:
                return function(*texts)
            except TypeError:
                pass  # the wrong number of arguments: refused below like any other misuse
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return ~_build(node.operand, source)
    if isinstance(node, ast.BinOp):
        left, right = _build(node.left, source), _build(node.right, source)
        if isinstance(node.op, ast.BitAnd):
            return left & right
        if isinstance(node.op, ast.BitOr):
            return left | right
        if isinstance(node.op, ast.Sub):
            return left - right
    raise RecipeError(
        f"selector {source!r}: use names, {', '.join(_FUNCTIONS)} with text arguments, and & | ~ -"
    )
