"""Rules of the table as a whole, decided from what the first scan of its rows has counted."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparkmine.clean.contract import Contract
from sparkmine.clean.drift import Bins, psi
from sparkmine.clean.rules import FAIL, WARN, label
from sparkmine.errors import ContractError
from sparkmine.expr import Expr, col, function, to_column

if TYPE_CHECKING:
    from pyspark.sql import Column

_DAY = 86400.0


@dataclass(frozen=True)
class Finding:
    """A rule of the whole table that does not hold. `text` has the value and the limit."""

    rule: str
    column: str
    severity: str
    text: str


@dataclass(frozen=True)
class Measured:
    """What the first scan has counted.

    Attributes:
        rows: All rows that came in.
        missing: Null and NaN by column, over all rows.
        newest: The newest moment of a column among the kept rows, in seconds since 1970.
        bins: Kept rows by bin, for each column whose drift is limited.
    """

    rows: int
    missing: Mapping[str, int]
    newest: Mapping[str, float | None] = field(default_factory=dict)
    bins: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def measures(
    contract: Contract,
    kept: Column,
    earlier: Mapping[str, Bins],
    typed: Mapping[str, Expr] | None = None,
) -> dict[str, Column]:
    """The aggregates that the table rules need, by a name that `measured` knows.

    `typed` are columns as values of the type that the contract names.
    """
    from pyspark.sql import functions as F

    found, typed = {}, typed or {}
    for column, rule in contract.columns.items():
        if rule.max_age_days is not None:
            found[f"newest {column}"] = F.max(
                F.when(kept, to_column(function("seconds", typed.get(column, col(column)))))
            )
    for column, bins in earlier.items():
        for place, count in enumerate(bins.counted(kept, typed)):
            found[f"bin {place} {column}"] = count
    return found


def measured(
    rows: int,
    missing: Mapping[str, int],
    values: Mapping[str, float | None],
    earlier: Mapping[str, Bins],
) -> Measured:
    """The values of `measures` by column."""
    newest = {n.removeprefix("newest "): v for n, v in values.items() if n.startswith("newest ")}
    bins = {
        column: tuple(int(values[f"bin {i} {column}"] or 0) for i in range(len(found.counts)))
        for column, found in earlier.items()
    }
    return Measured(rows=rows, missing=missing, newest=newest, bins=bins)


def findings(
    contract: Contract, found: Measured, earlier: Mapping[str, Bins], date: str
) -> tuple[list[Finding], dict[str, float]]:
    """The table rules that do not hold, and the drift of every column that is watched."""
    broken: list[Finding] = []
    drift: dict[str, float] = {}
    low, high = contract.min_rows, contract.max_rows
    if low is not None and found.rows < low:
        broken.append(Finding("min_rows", "", FAIL, f"{found.rows} rows, at least {low} expected"))
    if high is not None and found.rows > high:
        broken.append(Finding("max_rows", "", FAIL, f"{found.rows} rows, at most {high} expected"))
    # Ages count from the start of the run's date, so that a rerun finds the same.
    now = datetime.datetime.fromisoformat(date).replace(tzinfo=datetime.UTC).timestamp()
    for column, rule in contract.columns.items():
        severity = WARN if rule.severity == WARN else FAIL
        if rule.max_null_fraction is not None and found.rows:
            share = found.missing[column] / found.rows
            if share > rule.max_null_fraction:
                text = f"{share:.2%} are missing, at most {rule.max_null_fraction:.2%} may be"
                broken.append(Finding("max_null_fraction", column, severity, text))
        if rule.max_age_days is not None:
            newest = found.newest.get(column)
            age = _age(now, newest)
            if age is None or age > rule.max_age_days:
                text = "there is no value" if age is None else f"the newest is {age:.1f} days old"
                text += f", at most {rule.max_age_days:g} days are allowed"
                broken.append(Finding("max_age_days", column, severity, text))
        if rule.max_psi is not None and column in found.bins:
            index = psi(earlier[column].counts, found.bins[column])
            if index is not None:
                drift[column] = index
            if index is not None and index > rule.max_psi:
                text = f"PSI {index:.3f} against the earlier version, at most {rule.max_psi:g}"
                broken.append(Finding("max_psi", column, severity, text))
    return broken, drift


def _age(now: float, newest: float | None) -> float | None:
    """Days from `newest` to `now`, both in seconds; None without a value."""
    return None if newest is None else (now - newest) / _DAY


def refuse(found: list[Finding], stage: str) -> dict[str, str]:
    """Raise ContractError for findings that fail the stage; the warnings, by reason."""
    failed = [f"{label(f.rule, f.column)}: {f.text}" for f in found if f.severity == FAIL]
    if failed:
        raise ContractError(
            f"stage {stage}: the table breaks its contract; {'; '.join(failed)}; the clean table "
            "is as it was"
        )
    return {label(f.rule, f.column): f.text for f in found}
