"""Quarantine: bad rows are kept, with every reason, and every row is accounted for.

Two scans and one write each. The first writes the bad rows and counts all rows on the way; the
caller decides, then writes the good rows. A failed stage leaves its bad rows here, marked with
its run, and its clean table as it was. Rows are replaced by fingerprint, so a run that was
killed and runs again does not leave them twice.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.clean.reading import CORRUPT
from sparkmine.clean.rules import REASONS
from sparkmine.errors import TooManyBadRowsError
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
        missing: Null or NaN values by column, over all rows.
        version: Version of the quarantine table that this pass wrote.
    """

    rows: int
    quarantined: int
    reasons: dict[str, int]
    missing: dict[str, int]
    version: int


def quarantine(
    df: DataFrame,
    table: Table,
    *,
    run_id: str,
    stage: str,
    fingerprint: str,
    source: Column | str,
) -> Tally:
    """Write the rows of `df` with reasons to `table`, and count all rows in the same scan.

    `df` has the column `_reasons` of `clean.rules`. `source` says where each row is from: a
    column, or the name of a column of `df`, which is then no part of the row. The table's columns
    are `run_id`, `stage`, `fingerprint` (its partition), `source`, `reasons` and `row`, the row as
    JSON as it came; of a row that could not be read its text is there as `_corrupt`.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    apart = {REASONS, source} if isinstance(source, str) else {REASONS}
    columns = [name for name in df.columns if name not in apart]
    counted = Observation(f"quarantine-{uuid.uuid4().hex}")
    bad = F.size(REASONS) > 0
    floats = {f.name for f in df.schema.fields if f.dataType.typeName() in ("double", "float")}

    def absent(name: str) -> Column:
        value = df[name]
        return value.isNull() | F.isnan(value) if name in floats else value.isNull()

    observed = df.observe(
        counted,
        F.count(F.lit(1)).alias("rows"),
        F.count_if(bad).alias("bad"),
        *(F.count_if(absent(name)).alias(f"missing_{i}") for i, name in enumerate(columns)),
    )
    rows = observed.where(bad).select(
        F.lit(run_id).alias("run_id"),
        F.lit(stage).alias("stage"),
        F.lit(fingerprint).alias("fingerprint"),
        (F.col(source) if isinstance(source, str) else source).alias("source"),
        F.col(REASONS).alias("reasons"),
        _as_json(df, columns).alias("row"),
    )
    commit = table.write(
        rows,
        "replace_where",
        replace_where=f"fingerprint = '{fingerprint}'",
        partition_by=["fingerprint"],
    )
    found = counted.get
    return Tally(
        rows=found["rows"],
        quarantined=found["bad"],
        reasons=_reasons(table, fingerprint) if found["bad"] else {},
        missing={name: found[f"missing_{i}"] for i, name in enumerate(columns)},
        version=commit.version,
    )


def _as_json(df: DataFrame, columns: list[str]) -> Column:
    """The row as it came, nulls too; its whole text only where it could not be read."""
    from pyspark.sql import functions as F

    def of(names: list[str]) -> Column:
        return F.to_json(F.struct(*(df[name] for name in names)), {"ignoreNullFields": "false"})

    if CORRUPT not in columns:
        return of(columns)
    read = [name for name in columns if name != CORRUPT]
    return F.when(df[CORRUPT].isNull(), of(read)).otherwise(of(columns))


def _reasons(table: Table, fingerprint: str) -> dict[str, int]:
    from pyspark.sql import functions as F

    rows = table.snapshot().where(f"fingerprint = '{fingerprint}'").dataframe(table.lake.spark)
    exploded = rows.select(F.explode("reasons").alias("reason"))
    counts = exploded.groupBy("reason.rule", "reason.column").count().collect()
    named = {
        f"{row['rule']} ({row['column']})" if row["column"] else row["rule"]: row["count"]
        for row in counts
    }
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def decide(tally: Tally, max_bad_fraction: float, stage: str, table: str) -> None:
    """Raise TooManyBadRowsError when more than the allowed share of the rows is bad."""
    if tally.rows and tally.quarantined > max_bad_fraction * tally.rows:
        shown = list(tally.reasons.items())[:MAX_REASONS_SHOWN]
        reasons = ", ".join(f"{name}: {count}" for name, count in shown)
        raise TooManyBadRowsError(
            f"stage {stage}: {tally.quarantined} of {tally.rows} rows "
            f"({tally.quarantined / tally.rows:.2%}) broke rules, more than max_bad_fraction "
            f"{max_bad_fraction:.2%}; {reasons}; the rows are in {table}, the clean table is "
            "as it was"
        )
