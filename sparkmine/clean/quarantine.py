"""Quarantine: bad rows are kept, with every reason, and every row is accounted for.

Two scans and one write each. The first writes the bad rows and counts all rows on the way; the
caller decides, then writes the good rows. A failed stage leaves its bad rows here, marked with
its run, and its clean table as it was. Rows are replaced by fingerprint, so a run that was
killed and runs again does not leave them twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparkmine.clean.rules import REASONS, label
from sparkmine.clean.text_sources import CORRUPT
from sparkmine.errors import ContractError, TooManyBadRowsError
from sparkmine.expr.columns import as_json, free, quoted
from sparkmine.lake import Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MAX_REASONS_SHOWN = 5


@dataclass(frozen=True)
class Tally:
    """Counts of one pass.

    Attributes:
        rows: All rows.
        quarantined: Rows with at least one reason.
        reasons: Rows by `rule` or `rule (column)`; a row with two reasons counts in both.
        missing: Null or NaN values by column, over all rows; of columns that the clean table has in
            another type, as they are in it.
        version: Version of the quarantine table that this pass wrote.
        removed: Rows that are neither kept nor quarantined.
        counts: Rows for which each condition of `counting` is true.
        measures: The values of the aggregates that were asked for.
    """

    rows: int
    quarantined: int
    reasons: dict[str, int]
    missing: dict[str, int]
    version: int
    removed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    measures: dict[str, float | None] = field(default_factory=dict)


def quarantine(
    df: DataFrame,
    table: Table,
    *,
    run_id: str,
    stage: str,
    fingerprint: str,
    source: Column | str,
    row: Mapping[str, str] | None = None,
    typed: Mapping[str, Column] | None = None,
    reasons: Column | None = None,
    bad: Column | None = None,
    removed: Column | None = None,
    counting: Mapping[str, Column] | None = None,
    measures: Mapping[str, Column] | None = None,
) -> Tally:
    """Write the bad rows of `df` to `table`, and count all rows in the same scan.

    The table's columns are `run_id`, `stage`, `fingerprint` (its partition), `source`, `reasons`,
    `row`, the row as JSON as it came, and `released`, which `again.py` sets; of a row that could
    not be read its text is there as `_corrupt`.

    Args:
        df: The rows.
        source: Where a row is from: a column, or the name of one that is no part of the row.
        row: The row's columns, each with the column of `df` that has it as it came; all if None.
        typed: The row's columns that the clean table has in another type, as they are in it.
        reasons: The reasons, computed of bad rows alone; the column `_reasons` of `df` if None.
        bad: The rows for quarantine; those with `_reasons` if None.
        removed: The rows that are neither kept nor bad; none if None.
        counting: Conditions, whose rows are counted.
        measures: Aggregates of all rows.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    apart = {REASONS, source} if isinstance(source, str) else {REASONS}
    row = row or {name: name for name in df.columns if name not in apart}
    counted = Observation(f"quarantine-{uuid.uuid4().hex}")
    counting, measures = counting or {}, measures or {}
    values = {name: F.col(quoted(name)) for name in row} | dict(typed or {})
    kinds = df.select(*(value.alias(name) for name, value in values.items())).schema

    def absent(name: str) -> Column:
        value = values[name]
        is_float = kinds[name].dataType.typeName() in ("double", "float")
        return value.isNull() | F.isnan(value) if is_float else value.isNull()

    marked = free(df.columns, "bad")
    observed = df.withColumn(marked, F.size(REASONS) > 0 if bad is None else bad).observe(
        counted,
        F.count(F.lit(1)).alias("rows"),
        F.count_if(F.col(marked)).alias("bad"),
        *([] if removed is None else [F.count_if(removed).alias("removed")]),
        *(F.count_if(absent(name)).alias(f"missing_{i}") for i, name in enumerate(row)),
        *(F.count_if(value).alias(f"count_{i}") for i, value in enumerate(counting.values())),
        *(value.alias(f"measure_{i}") for i, value in enumerate(measures.values())),
    )
    rows = observed.where(marked).select(
        F.lit(run_id).alias("run_id"),
        F.lit(stage).alias("stage"),
        F.lit(fingerprint).alias("fingerprint"),
        (F.col(source) if isinstance(source, str) else source).alias("source"),
        (F.col(REASONS) if reasons is None else reasons).alias("reasons"),
        _as_json(row).alias("row"),
        F.lit(None).cast("string").alias("released"),
    )
    commit = table.write(
        rows,
        "replace_where",
        replace_where=f"fingerprint = '{fingerprint}'",
        partition_by=["fingerprint"],
        new_columns=True,
    )
    found = counted.get
    return Tally(
        rows=found["rows"],
        quarantined=found["bad"],
        reasons=counted_reasons(_rows_of(table, fingerprint)) if found["bad"] else {},
        missing={name: found[f"missing_{i}"] for i, name in enumerate(row)},
        version=commit.version,
        removed=found.get("removed", 0),
        counts={name: found[f"count_{i}"] for i, name in enumerate(counting)},
        measures={name: found[f"measure_{i}"] for i, name in enumerate(measures)},
    )


def _as_json(row: Mapping[str, str]) -> Column:
    """The row as it came, nulls too; its whole text only where it could not be read."""
    from pyspark.sql import functions as F

    def of(names: Sequence[str]) -> Column:
        values = (F.col(quoted(row[name])).alias(name) for name in names)
        return as_json(F.struct(*values))

    if CORRUPT not in row:
        return of(list(row))
    read = [name for name in row if name != CORRUPT]
    return F.when(F.col(CORRUPT).isNull(), of(read)).otherwise(of(list(row)))


def _rows_of(table: Table, fingerprint: str) -> DataFrame:
    return table.snapshot().where(f"fingerprint = '{fingerprint}'").dataframe(table.lake.spark)


def counted_reasons(rows: DataFrame) -> dict[str, int]:
    """Rows of a quarantine by reason, the most frequent first; a row may have several."""
    from pyspark.sql import functions as F

    exploded = rows.select(F.explode("reasons").alias("reason"))
    counts = exploded.groupBy("reason.rule", "reason.column").count().collect()
    named = {label(row["rule"], row["column"]): row["count"] for row in counts}
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def decide(
    tally: Tally, max_bad_fraction: float, stage: str, table: str, failing: Sequence[str] = ()
) -> None:
    """Decide whether the stage may go on.

    Args:
        failing: The counts of `tally` that must be 0.

    Raises:
        ContractError: one of them is not.
        TooManyBadRowsError: more than the allowed share of the rows is bad.
    """
    failed = {name: tally.counts[name] for name in failing if tally.counts[name]}
    if failed:
        raise ContractError(
            f"stage {stage}: rows broke rules of severity fail; "
            + ", ".join(f"{name}: {count}" for name, count in failed.items())
            + f"; the rows are in {table}, the clean table is as it was"
        )
    if tally.rows and tally.quarantined > max_bad_fraction * tally.rows:
        shown = list(tally.reasons.items())[:MAX_REASONS_SHOWN]
        reasons = ", ".join(f"{name}: {count}" for name, count in shown)
        raise TooManyBadRowsError(
            f"stage {stage}: {tally.quarantined} of {tally.rows} rows "
            f"({tally.quarantined / tally.rows:.2%}) broke rules, more than max_bad_fraction "
            f"{max_bad_fraction:.2%}; {reasons}; the rows are in {table}, the clean table is "
            "as it was"
        )
