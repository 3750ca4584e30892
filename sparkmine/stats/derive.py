"""What a fill or an affine map of a column does to its statistics, in closed form.

An expression such as `(case when x is missing then 3 else x end - 5) / 2` is one column and a list
of changes. Statistics that know how a change moves them (`Stat.changed`) are scanned over the
column itself and changed afterwards, so impute, scale and buckets of one column are one scan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sparkmine.expr import Expr, nodes


@dataclass(frozen=True)
class Fill:
    """Null and NaN become `value`."""

    value: float


@dataclass(frozen=True)
class Affine:
    """x becomes x * factor / divisor + shift, in double precision; neither of the first is 0.

    Division is kept as one: x / 3 and x * (1 / 3) are not always the same number, and a quantile
    that was derived must be bit by bit a value that is found in the column.
    """

    factor: float = 1.0
    divisor: float = 1.0
    shift: float = 0.0

    @property
    def scale(self) -> float:
        return self.factor / self.divisor

    def of(self, values: Any) -> Any:
        """The change of a number or an array."""
        return values * self.factor / self.divisor + self.shift


Change = Fill | Affine


def origin(expr: Expr) -> tuple[str, tuple[Change, ...]] | None:
    """The column that `expr` is made of and the changes in their order; None for all else."""
    match expr:
        case nodes.Column(name):
            return name, ()
        case nodes.Cast(operand, "double"):
            return origin(operand)
        case nodes.Arithmetic(op, left, nodes.Literal(value)):
            return _then(left, _affine(op, value))
        case nodes.Arithmetic(op, nodes.Literal(value), right):
            return _then(right, _affine_from_left(op, value))
        case nodes.Case((condition,), (nodes.Literal(value),), otherwise):
            number = _number(value)
            if number is not None and _is_missing(condition, otherwise):
                return _then(otherwise, Fill(number))
    return None


def _is_missing(condition: Expr, operand: Expr) -> bool:
    """True for `operand is null or operand is NaN`."""
    match condition:
        case nodes.Logic("or", nodes.IsNull(one), nodes.IsNaN(other)):
            return one.same(operand) and other.same(operand)
    return False


def _then(operand: Expr, change: Change | None) -> tuple[str, tuple[Change, ...]] | None:
    found = origin(operand)
    return None if found is None or change is None else (found[0], (*found[1], change))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _affine(op: str, value: object) -> Affine | None:
    number = _number(value)
    if number is None or (number == 0.0 and op in "*/"):
        return None
    return {
        "+": lambda: Affine(shift=number),
        "-": lambda: Affine(shift=-number),
        "*": lambda: Affine(factor=number),
        "/": lambda: Affine(divisor=number),
    }[op]()


def _affine_from_left(op: str, value: object) -> Affine | None:
    number = _number(value)
    if number is None or op == "/" or (number == 0.0 and op == "*"):
        return None
    if op == "-":
        return Affine(factor=-1.0, shift=number)
    return _affine(op, number)
