"""Upkeep of one table: small files made one, files that no version needs any more removed.

Compaction is Delta's OPTIMIZE and removal its VACUUM, by the table's own retention. VACUUM knows
nothing of who has read which version, so it is left out where it would take a file from a version
that must stay.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import VersionError
from sparkmine.lake import log
from sparkmine.lake.failures import translated
from sparkmine.lake.snapshot import DataFile, Snapshot
from sparkmine.lake.table import Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Files from this size on are good as they are; smaller ones are put together, up to Delta's 1 GiB.
SMALL_BYTES = 128 << 20
# VACUUM's dry run lists no more.
LISTED = 1000

_SETTINGS = {
    "spark.databricks.delta.optimize.minFileSize": str(SMALL_BYTES),
    # Delta lists folders by 10,000 tasks unless told otherwise: two minutes for an empty table.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "",
}
_TOUCHES_NO_FILE = ("SET TBLPROPERTIES", "VACUUM START", "VACUUM END")


@dataclass(frozen=True)
class Upkeep:
    """What was done to a table, or would be.

    Attributes:
        files, bytes: Of the table as it is.
        compacted, into: Small files, and how many they become.
        removed: Files that VACUUM deletes; `LISTED` stands for that many or more.
        retention: Seconds for which the table keeps files that no newer version needs.
        held: The newest version that must stay and of which VACUUM would take files, so that it was
            not run; None if there is none.
    """

    table: str
    files: int
    bytes: int
    compacted: int
    into: int
    removed: int
    retention: float
    held: int | None = None


def maintain(table: Table, keep: Collection[int], *, dry_run: bool = False) -> Upkeep:
    """Compact a table, and vacuum it unless that would hurt a version of `keep`.

    Raises:
        LockedError, TableDamagedError, WriteConflictError, WarehouseError
    """
    spark = table.lake.spark
    with table.lake.locked(table.name, f"table {table.name}"), translated(table.path):
        snapshot = table.snapshot()
        small = _small(snapshot)
        retention = log.retention(spark, table.path)
        with _settings(spark):
            if small and not dry_run:
                spark.sql(f"OPTIMIZE delta.`{table.path}`").collect()
            horizon = time.time() - retention
            held = _held(table, keep, horizon)
            nothing = held is not None or _younger(table, horizon)
            stale = [] if nothing else _vacuum(spark, table, "DRY RUN")
            if stale and not dry_run:
                _vacuum(spark, table, "")
    return Upkeep(
        table=table.name,
        files=len(snapshot.files),
        bytes=sum(file.size for file in snapshot.files),
        compacted=sum(len(files) for files in small),
        into=sum(math.ceil(sum(file.size for file in files) / (1 << 30)) for files in small),
        removed=len(stale),
        retention=retention,
        held=held,
    )


def _vacuum(spark: SparkSession, table: Table, how: str) -> list[str]:
    return [row[0] for row in spark.sql(f"VACUUM delta.`{table.path}` {how}").collect()]


def _younger(table: Table, horizon: float) -> bool:
    """True when the table was made after the horizon: a look at its folders costs seconds."""
    try:
        return table.commit(0).at > horizon
    except VersionError:
        return False  # its first log entry has gone


def _small(snapshot: Snapshot) -> list[list[DataFile]]:
    """The small files of each partition that has more than one."""
    by_partition: dict[tuple[tuple[str, str], ...], list[DataFile]] = {}
    for file in snapshot.files:
        if file.size < SMALL_BYTES:
            key = tuple(sorted((name, repr(value)) for name, value in file.partition.items()))
            by_partition.setdefault(key, []).append(file)
    return [files for files in by_partition.values() if len(files) > 1]


def _held(table: Table, keep: Collection[int], horizon: float) -> int | None:
    """The newest version of `keep` of which VACUUM would remove files, by the log alone.

    The files of a version are all there when the next one is written, so none went before that.
    VACUUM spares what went after the horizon. It can do so only while the log tells when a file
    went, and the log forgets after the retention: so a retention that was changed since then says
    nothing about the time before.
    """
    if not keep:
        return None
    gone_at, changed, changed_since = math.inf, False, False
    for commit in table.commits():
        if commit.version < min(keep):
            break
        if commit.version in keep and (gone_at < horizon or (gone_at < math.inf and changed)):
            return commit.version
        if commit.operation == "SET TBLPROPERTIES":
            changed_since = True
        elif commit.operation not in _TOUCHES_NO_FILE:
            gone_at, changed = commit.at, changed_since
    return None


@contextlib.contextmanager
def _settings(spark: SparkSession) -> Iterator[None]:
    """Delta's own defaults for OPTIMIZE and VACUUM are for thousands of cores."""
    tasks = str(spark.sparkContext.defaultParallelism)
    wanted: Mapping[str, str] = {key: value or tasks for key, value in _SETTINGS.items()}
    before = {key: spark.conf.get(key, None) for key in wanted}
    for key, value in wanted.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)
