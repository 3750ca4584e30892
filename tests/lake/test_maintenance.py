"""Compaction and VACUUM of one table: real files, real retention, versions that must stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake, Table
from sparkmine.lake.maintenance import maintain

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def ids(table: Table, version: int) -> list[int]:
    frame = table.snapshot(version).dataframe(table.lake.spark)
    return sorted(row["id"] for row in frame.collect())


def data_files(table: Table) -> int:
    return len(list(Path(table.path).rglob("*.parquet")))


def keep_for(table: Table, duration: str) -> None:
    table.lake.spark.sql(
        f"alter table delta.`{table.path}` set tblproperties "
        f"('delta.deletedFileRetentionDuration' = 'interval {duration}')"
    )


@pytest.fixture
def table(spark: SparkSession, lake: Lake) -> Table:
    """Version 0 has 4 files, version 1 has 3 more; files are kept for 90 days."""
    table = lake.table("raw/upkeep")
    table.write(spark.range(0, 8, 1, 4))
    table.write(spark.range(8, 11, 1, 3), "append")
    return table


@pytest.mark.slow
def test_small_files_become_one_and_old_ones_go(spark: SparkSession, table: Table) -> None:
    before = sorted(Path(table.path).rglob("*"))
    planned = maintain(table, set(), dry_run=True)
    assert (planned.files, planned.compacted, planned.into) == (7, 7, 1)
    assert (planned.removed, planned.held, planned.retention) == (0, None, 90 * 86400)
    assert sorted(Path(table.path).rglob("*")) == before
    done = maintain(table, set())
    assert (done.compacted, done.into, done.removed) == (7, 1, 0)
    assert len(table.snapshot().files) == 1 and ids(table, 1) == list(range(11))
    assert data_files(table) == 8  # the old version can still be read

    keep_for(table, "0 seconds")
    held = maintain(table, {0, 1})
    assert (held.held, held.removed) == (1, 0) and ids(table, 1) == list(range(11))
    assert maintain(table, set(), dry_run=True).removed == 7 and data_files(table) == 8
    # The newest rows are no reason to keep older ones.
    newest = table.snapshot().version
    done = maintain(table, {newest})
    assert (done.held, done.removed) == (None, 7) and data_files(table) == 1
    assert table.snapshot().dataframe(spark).toArrow().num_rows == 11
    version = table.snapshot().version
    done = maintain(table, set())
    assert (done.compacted, done.removed) == (0, 0)
    assert table.snapshot().version == version  # nothing to do leaves no trace


@pytest.mark.slow
def test_versions_that_must_stay_keep_their_files(spark: SparkSession, lake: Lake) -> None:
    """With a retention that the table had from its first version on."""
    table = lake.table("raw/short")
    spark.sql(
        f"create table delta.`{table.path}` (id bigint) using delta tblproperties "
        "('delta.deletedFileRetentionDuration' = 'interval 0 seconds')"
    )
    table.write(spark.range(0, 8, 1, 4))
    table.write(spark.range(0, 9, 1, 1))
    assert maintain(table, {1}, dry_run=True).held == 1
    assert maintain(table, {2}, dry_run=True).removed == 4
    # A retention that was made longer does not vouch for the time before.
    keep_for(table, "20 days")
    assert maintain(table, {1}).held == 1
    assert ids(table, 1) == list(range(8))
