"""What is in a quarantine: the reasons of one run, with counts and samples."""

from __future__ import annotations

from dataclasses import dataclass

from sparkmine.errors import ConfigError
from sparkmine.lake import Table

SAMPLE_LENGTH = 120


@dataclass(frozen=True)
class Reason:
    """One rule that rows broke; `samples` are one or two of these rows, each with its source."""

    rule: str
    column: str
    rows: int
    samples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reasons:
    """The rows of one run in a quarantine; `others` are the other runs that left rows there."""

    run_id: str
    rows: int
    reasons: tuple[Reason, ...]
    others: tuple[str, ...]


def side_of(table: Table) -> Table:
    """The quarantine of a table; the table itself if it is one.

    Raises:
        ConfigError: it has none.
    """
    side = table
    if not table.name.startswith("quarantine/"):
        stages = ((commit.metadata or {}).get("stage") for commit in table.commits())
        stage = next((name for name in stages if name), None)
        side = table.lake.table(f"quarantine/{stage or table.name}")
    if not side.exists():
        raise ConfigError(
            f"there is no quarantine of table {table.name} in {table.lake.root}; name a table that "
            "an ingest or a clean stage writes, or the quarantine itself"
        )
    return side


def reasons_in(side: Table, run_id: str | None = None) -> Reasons:
    """The reasons of the rows that a run left in a quarantine, most frequent first.

    Args:
        run_id: The run; None for the newest that left rows.

    Raises:
        ConfigError: this run left no rows there.
    """
    from pyspark.sql import functions as F

    rows = side.snapshot().dataframe(side.lake.spark)
    counts = {row.run_id: row["count"] for row in rows.groupBy("run_id").count().collect()}
    if run_id is not None and run_id not in counts:
        raise ConfigError(f"run {run_id!r} left no rows in {side.name}; there are {sorted(counts)}")
    if not counts:
        return Reasons("", 0, (), ())
    run_id = run_id or max(counts)
    shown = F.struct(
        F.substring("row", 1, SAMPLE_LENGTH).alias("row"), F.col("source").alias("source")
    )
    exploded = rows.where(F.col("run_id") == run_id).select(
        F.explode("reasons").alias("reason"), shown.alias("shown")
    )
    grouped = exploded.groupBy("reason.rule", "reason.column").agg(
        F.count(F.lit(1)).alias("found"),
        # The first and the last row: the same ones each time, and two at most to be held.
        F.min("shown").alias("low"),
        F.max("shown").alias("high"),
    )
    reasons = [
        Reason(
            row.rule, row.column, row.found, tuple(dict.fromkeys((tuple(row.low), tuple(row.high))))
        )
        for row in grouped.collect()
    ]
    reasons.sort(key=lambda reason: (-reason.rows, reason.rule, reason.column))
    others = tuple(sorted(set(counts) - {run_id}))
    return Reasons(run_id, counts[run_id], tuple(reasons), others)
