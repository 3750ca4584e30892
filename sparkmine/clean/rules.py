"""Row rules as expressions: every rule says what must hold, and names itself when it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, Scalar, col, parse, to_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

REASONS = "_reasons"
REASON_TYPE = "array<struct<rule: string, column: string>>"


@dataclass(frozen=True)
class Check:
    """One condition. A row breaks it when `holds` is false; null, SQL's unknown, passes.

    Attributes:
        rule: Name shown as the reason.
        column: The column at fault, empty for conditions over several.
    """

    rule: str
    column: str
    holds: Expr


def column_checks(
    column: str,
    *,
    type_name: str | None = None,
    not_null: bool = False,
    minimum: Scalar = None,
    maximum: Scalar = None,
    allowed: Sequence[Scalar] | None = None,
) -> list[Check]:
    """The checks of one column. NaN is larger than every number, so a maximum refuses it."""
    value = col(column)
    checks = []
    if not_null:
        checks.append(Check("not_null", column, ~value.is_null()))
    if type_name is not None:
        checks.append(
            Check(f"type {type_name}", column, value.is_null() | ~value.cast(type_name).is_null())
        )
        # Of a value that is no such thing, nothing else is asked.
        value = value.cast(type_name)
    if minimum is not None:
        checks.append(Check(f"minimum {minimum}", column, value >= minimum))
    if maximum is not None:
        checks.append(Check(f"maximum {maximum}", column, value <= maximum))
    if allowed is not None:
        checks.append(Check("allowed", column, value.is_in(allowed)))
    return checks


def expression_check(name: str, text: str) -> Check:
    """A condition in SQL over any columns."""
    return Check(name, "", parse(text))


def with_reasons(df: DataFrame, checks: Sequence[Check]) -> DataFrame:
    """Add `_reasons`: the broken checks of every row, an empty array for good rows.

    Raises:
        ConfigError: a check reads a column that is not there.
    """
    from pyspark.sql import functions as F

    for check in checks:
        missing = sorted(check.holds.columns - set(df.columns))
        if missing:
            raise ConfigError(
                f"rule {check.rule!r} reads column {missing[0]!r}; the table has {df.columns}"
            )
    if not checks:
        return df.withColumn(REASONS, F.array().cast(REASON_TYPE))
    found = [
        F.when(
            ~to_column(check.holds),
            F.struct(F.lit(check.rule).alias("rule"), F.lit(check.column).alias("column")),
        )
        for check in checks
    ]
    # array_compact builds an array for every row; most rows are good, and need none.
    broken: Column = reduce(
        lambda a, b: a | b, (F.coalesce(~to_column(c.holds), F.lit(False)) for c in checks)
    )
    reasons = F.when(broken, F.array_compact(F.array(*found))).otherwise(F.array())
    return df.withColumn(REASONS, reasons.cast(REASON_TYPE))
