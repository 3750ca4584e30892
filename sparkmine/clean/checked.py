"""What a contract says of the rows of a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.clean.rules import (
    DROP,
    FAIL,
    QUARANTINE,
    REASONS,
    Check,
    broken,
    check_free,
    reasons,
    with_reasons,
)
from sparkmine.expr import Expr, to_column
from sparkmine.expr.columns import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Checked:
    """Rows and what they break, not yet computed.

    Attributes:
        rows: The rows, with the columns that joins have added for the checks.
        columns: The columns of the row itself.
        checks: Every rule as an expression over `rows`.
        typed: The columns that the clean table has in another type, as they are in it.
    """

    rows: DataFrame
    columns: tuple[str, ...]
    checks: tuple[Check, ...]
    typed: Mapping[str, Expr]

    def of(self, *severities: str) -> list[Check]:
        return [check for check in self.checks if check.severity in severities]

    @property
    def judged(self) -> DataFrame:
        """All rows with `_reasons`, the rules that each breaks, of whatever severity."""
        return with_reasons(self.rows, self.checks)

    @property
    def reasons(self) -> Column:
        """Why a row is not kept; of what it is only warned is no reason."""
        return reasons(self.of(FAIL, QUARANTINE, DROP))

    @property
    def kept(self) -> DataFrame:
        """The rows of the clean table, in the contract's types."""
        good = self.rows.where(~broken(self.of(FAIL, QUARANTINE, DROP)))
        return good.select(*self.values())

    @property
    def quarantined(self) -> DataFrame:
        """The rows for quarantine, with `_reasons`."""
        check_free(self.columns)
        rows = self.rows.where(broken(self.of(FAIL, QUARANTINE)))
        return rows.select(*map(quoted, self.columns), self.reasons.alias(REASONS))

    def values(self) -> list[Column]:
        """The row's columns, cast where the contract names a type."""
        from pyspark.sql import functions as F

        return [
            to_column(self.typed[name]).alias(name) if name in self.typed else F.col(quoted(name))
            for name in self.columns
        ]
