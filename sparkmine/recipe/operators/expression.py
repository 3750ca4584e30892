"""A column by SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sparkmine.errors import ExpressionError, RecipeError
from sparkmine.expr import Array, Expr, parse
from sparkmine.expr import nodes as n
from sparkmine.recipe.columns import BOOLEAN, NUMBER, TEXT, TIME, VECTOR, ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, select

_NONE = select()


@dataclass(frozen=True, kw_only=True)
class Expression(Operator):
    """One more column, `output`, computed by `expression`: SQL such as `price * (1 - discount)`.

    The text is parsed by sparkmine, never by an engine; pipelines.md lists the functions. Its
    columns must exist at its position and are left as they are, so `columns=` is not given; keys,
    the label and kept columns cannot be read. Null, NaN and infinities follow SQL: a null operand
    gives null, division by zero is null.
    """

    example: ClassVar[str] = "expression: price * (1 - discount), output: paid"
    columns: Selector = _NONE
    expression: str = ""

    def __post_init__(self) -> None:
        if not self.output or "{" in self.output:
            raise RecipeError("Expression needs the name of its column as output=")
        if self.columns is _NONE:
            object.__setattr__(self, "columns", select(*sorted(self._parsed().columns)))
        elif set(self.columns.names()) != self._parsed().columns:
            raise RecipeError("Expression finds its columns in the text; leave out columns=")

    def _parsed(self) -> Expr:
        try:
            return parse(self.expression)
        except ExpressionError as error:
            raise RecipeError(f"Expression for {self.output!r}: {error}") from None

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        expr = self._parsed()
        kind = kind_of(expr, {column.name: column.kind for column in picked})
        return [ColumnInfo(str(self.output), kind, None, tuple(sorted(expr.columns)))], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        (info,), _ = self.predicted(picked)
        return Outcome(outputs={info.name: self._parsed()}, infos={info.name: info})


_KINDS = {"double": NUMBER, "long": NUMBER, "string": TEXT, "boolean": BOOLEAN}


def kind_of(expr: Expr, kinds: Mapping[str, str]) -> str:
    """What an expression gives, from the kinds of its columns; a number where nothing tells."""
    match expr:
        case n.Column(name):
            # An expression over a bucket or an indicator column is a plain number to selectors.
            known = kinds.get(name, NUMBER)
            return known if known in (TEXT, BOOLEAN, TIME, VECTOR) else NUMBER
        case n.Literal(value):
            return {str: TEXT, bool: BOOLEAN}.get(type(value), NUMBER)
        case n.Compare() | n.Logic() | n.Not() | n.IsNull() | n.IsNaN() | n.IsIn():
            return BOOLEAN
        case n.Cast(_, to):
            return _KINDS.get(to, TIME)
        case n.Case(_, values, otherwise):
            return _first([*values, otherwise], kinds)
        case n.Function("coalesce" | "least" | "greatest", arguments):
            return _first(arguments, kinds)
        case n.Function("lower" | "upper" | "trim" | "concat"):
            return TEXT
        case n.Function("array_contains"):
            return BOOLEAN
        case Array() | n.Function("concat_arrays"):
            return VECTOR
    return NUMBER


def _first(choices: Sequence[Expr], kinds: Mapping[str, str]) -> str:
    """The kind of the first choice that is not the constant null."""
    known = [c for c in choices if not (isinstance(c, n.Literal) and c.value is None)]
    return kind_of(known[0], kinds) if known else NUMBER
