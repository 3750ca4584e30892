"""A contract asked of rows without writing any: one scan that counts.

Of a snapshot it is a scan straight from the files into Arrow (`stats/engine.py`), where that can be
and all rules are about rows by themselves; of anything else it is one aggregate of Spark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.clean.rules import DROP, FAIL, QUARANTINE, Check, broken
from sparkmine.errors import ExpressionError
from sparkmine.expr import evaluate
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.stats import Broken, Request, StatEngine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.clean.checked import Checked
    from sparkmine.lake import Snapshot


@dataclass(frozen=True)
class Validation:
    """What a contract says of a table's rows.

    Attributes:
        rows: All rows; rows = kept + quarantined + removed.
        kept: Rows that a stage would keep, those with a warning too.
        quarantined, removed: Rows that it would quarantine, and drop.
        broken: For every rule, by its label, the rows that break it.
    """

    rows: int
    kept: int
    quarantined: int
    removed: int
    broken: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Whether no row breaks any rule."""
        return not any(self.broken.values())


def of_snapshot(
    snapshot: Snapshot, checks: Sequence[Check], spark: SparkSession
) -> Validation | None:
    """By one scan of the files; None where Spark must read them, or ask."""
    rules = _by_label(checks)
    conditions = tuple(reduce(and_, (check.holds for check in found)) for found in rules.values())
    try:
        wanted = sorted({name for condition in conditions for name in condition.columns})
        nothing = Scan.of(snapshot, wanted).schema.empty_table()
        for condition in conditions:
            evaluate(condition, nothing)
    except (DirectScanRefused, ExpressionError, pa.ArrowNotImplementedError):
        return None

    def numbers(*severities: str) -> tuple[int, ...]:
        return tuple(i for i, found in enumerate(rules.values()) if found[0].severity in severities)

    stat = Broken(tuple(rules), (numbers(FAIL, QUARANTINE), numbers(DROP)))
    (found,) = StatEngine(snapshot, spark).run([Request(stat, conditions)])
    quarantined, removed = found.by_group
    counts = dict(zip(rules, found.by_condition, strict=True))
    return _validation(found.rows, quarantined, removed, counts)


def of_rows(checked: Checked) -> Validation:
    """By one aggregate."""
    from pyspark.sql import functions as F

    rules = _by_label(checked.checks)
    bad, dropped = broken(checked.of(FAIL, QUARANTINE)), broken(checked.of(DROP))
    row = checked.rows.agg(
        F.count(F.lit(1)),
        F.count_if(bad),
        F.count_if(~bad & dropped),
        *(F.count_if(broken(found)) for found in rules.values()),
    ).first()
    assert row is not None
    rows, quarantined, removed, *counts = row
    return _validation(rows, quarantined, removed, dict(zip(rules, counts, strict=True)))


def _by_label(checks: Sequence[Check]) -> dict[str, list[Check]]:
    """The checks of each rule; several where a column's rules have one name."""
    found: dict[str, list[Check]] = {}
    for check in checks:
        found.setdefault(check.label, []).append(check)
    return found


def _validation(rows: int, quarantined: int, removed: int, counts: Mapping[str, int]) -> Validation:
    return Validation(rows, rows - quarantined - removed, quarantined, removed, counts)
