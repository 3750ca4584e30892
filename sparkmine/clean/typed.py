"""A column in the type that a contract names: the value there, or null where it does not fit.

Text fits as its cast says, and as a `decimal(p,s)` if no digit of it is rounded away. Any other
value fits if the type holds it: 3.7 is no `long`, a moment after midnight no `date`, 2^53 + 1 no
`double`. A decimal fits a `double` that reads back as the same decimal, and a `double` a decimal.
Numbers and moments meet in seconds since 1970, to the microsecond. Where a type holds all values of
the other, nothing is compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkmine.expr import Expr, col, function, when

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

_FLOATS = ("float", "double")
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_MICROSECOND = 2e-6  # with what doubles of this size round away
_TOO_LARGE = 2.0**63  # Spark makes the largest long of it, which is one less


def fitted(column: str, type_name: str, source: str = "string") -> Expr:
    """The column as `type_name`; `source` is its type as Spark SQL names it."""
    value = col(column)
    cast = value.cast(type_name)
    same = _same(value, cast, type_name, source)
    return cast if same is None else when(same, cast).otherwise(None)


def sources(schema: StructType | None) -> dict[str, str]:
    """The types of columns as Spark SQL names them."""
    return {field.name: field.dataType.simpleString() for field in schema or ()}


def _same(value: Expr, cast: Expr, to: str, source: str) -> Expr | None:
    """Whether the cast value is the value; None where it always is, and of text."""
    kind = source.partition("(")[0]
    number = kind in (*_FLOATS, *_INTEGERS, "decimal")
    if to.startswith("decimal"):
        return _same_decimal(value, cast, to, source)
    if kind == "decimal" and to in ("long", "double", "boolean"):
        return cast.cast(source) == value
    if number and to == "boolean":
        return cast.cast("double") == value
    if number and to == "timestamp":
        return function("abs", function("seconds", cast) - value) < _MICROSECOND
    if kind in _FLOATS and to == "long":
        return (cast == value) & (value < _TOO_LARGE)
    if kind == "bigint" and to == "double":
        return (cast.cast("long") == value) & (cast < _TOO_LARGE)
    if kind == "timestamp" and to == "long":
        return function("seconds", value) == cast
    if kind in ("timestamp", "timestamp_ntz") and to == "date":
        return cast == value
    return None


def _same_decimal(value: Expr, cast: Expr, to: str, source: str) -> Expr | None:
    if source == "string":
        scale = int(to.rpartition(",")[2].rstrip(")"))
        plain = value.matches(rf"^[^.eE]*(\.\d{{0,{scale}}}0*)?\s*$")
        # With a power of ten, of so few digits that doubles tell such numbers apart.
        power = value.matches(r"^\s*[+-]?[\d.]{1,15}[eE]")
        return plain | (power & (cast.cast("double") == value.cast("double")))
    if source.startswith("decimal") and source != to:
        return cast.cast(source) == value
    return cast.cast("double") == value if source in _FLOATS else None
