"""Row rules as expressions: every rule says what must hold, and names itself when it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from sparkmine.clean.typed import fitted
from sparkmine.errors import ConfigError
from sparkmine.expr import Expr, Scalar, col, function, parse, to_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

REASONS = "_reasons"
REASON_TYPE = "array<struct<rule: string, column: string>>"
QUARANTINE, DROP, WARN, FAIL = "quarantine", "drop", "warn", "fail"


@dataclass(frozen=True)
class Check:
    """One condition. A row breaks it when `holds` is false; null, SQL's unknown, passes.

    Attributes:
        rule: Name shown as the reason.
        column: The column at fault, empty for conditions over several.
        severity: What happens to a row that breaks it.
    """

    rule: str
    column: str
    holds: Expr
    severity: str = QUARANTINE

    @property
    def label(self) -> str:
        """The reason as it is shown and counted."""
        return label(self.rule, self.column)


def label(rule: str, column: str) -> str:
    return f"{rule} ({column})" if column else rule


def column_checks(
    column: str,
    *,
    type_name: str | None = None,
    source: str = "string",
    not_null: bool = False,
    minimum: Scalar = None,
    maximum: Scalar = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    allowed: Sequence[Scalar] | None = None,
) -> list[Check]:
    """The checks of one column. NaN is larger than every number, so a maximum refuses it.

    Args:
        source: The type that the column has, as Spark SQL names it.

    Raises:
        ExpressionError: a pattern that the engines do not share.
    """
    value = col(column)
    checks = []
    if not_null:
        checks.append(Check("not_null", column, ~value.is_null()))
    if type_name is not None:
        typed = fitted(column, type_name, source)
        checks.append(Check(f"type {type_name}", column, value.is_null() | ~typed.is_null()))
        # Of a value that is no such thing, nothing else is asked.
        value = typed
    if minimum is not None:
        checks.append(Check(f"minimum {minimum}", column, value >= minimum))
    if maximum is not None:
        checks.append(Check(f"maximum {maximum}", column, value <= maximum))
    text = value.cast("string")
    if min_length is not None:
        holds = function("length", text) >= min_length
        checks.append(Check(f"min_length {min_length}", column, holds))
    if max_length is not None:
        holds = function("length", text) <= max_length
        checks.append(Check(f"max_length {max_length}", column, holds))
    if pattern is not None:
        checks.append(Check(f"pattern {pattern}", column, text.matches(f"^(?:{pattern})$")))
    if allowed is not None:
        checks.append(Check("allowed", column, value.is_in(allowed)))
    return checks


def expression_check(name: str, text: str, typed: Mapping[str, Expr] | None = None) -> Check:
    """A condition in SQL over any columns; `typed` are those that it sees in another type."""
    return Check(name, "", parse(text).substitute(typed or {}))


def broken(checks: Sequence[Check]) -> Column:
    """True for the rows that break one of the checks, else false."""
    from pyspark.sql import functions as F

    if not checks:
        return F.lit(False)
    return reduce(
        lambda a, b: a | b, (F.coalesce(~to_column(c.holds), F.lit(False)) for c in checks)
    )


def with_reasons(df: DataFrame, checks: Sequence[Check]) -> DataFrame:
    """Add `_reasons`: the broken checks of every row, an empty array for good rows.

    Raises:
        ConfigError: a check reads a column that is not there, or there is one called so.
    """
    from pyspark.sql import functions as F

    check_free(df.columns)
    for check in checks:
        missing = sorted(check.holds.columns - set(df.columns))
        if missing:
            raise ConfigError(
                f"rule {check.rule!r} reads column {missing[0]!r}; the table has {df.columns}"
            )
    none = F.array().cast(REASON_TYPE)
    # To put reasons together costs an array for every row; most rows are good, and need none.
    return df.withColumn(REASONS, F.when(broken(checks), reasons(checks)).otherwise(none))


def check_free(names: Iterable[str]) -> None:
    """Raise ConfigError if a table with these columns has no place for its rows' reasons."""
    if REASONS in (name.lower() for name in names):
        raise ConfigError(f"the table has a column {REASONS!r}, which takes reasons; rename it")


def reasons(checks: Sequence[Check]) -> Column:
    """The broken checks of a row, as an array of reasons."""
    from pyspark.sql import functions as F

    if not checks:
        return F.array().cast(REASON_TYPE)
    found = [F.when(~to_column(check.holds), reason(check.rule, check.column)) for check in checks]
    return F.array_compact(F.array(*found)).cast(REASON_TYPE)


def reason(rule: str, column: str) -> Column:
    """A reason as the quarantine keeps it."""
    from pyspark.sql import functions as F

    return F.struct(F.lit(rule).alias("rule"), F.lit(column).alias("column"))
