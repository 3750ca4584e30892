"""Upkeep of a pipeline's tables, which leaves alone what its runs of the last days have read."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from sparkmine.errors import TableMissingError, VersionError
from sparkmine.lake import Lake, ledger
from sparkmine.lake.maintenance import Upkeep, maintain
from sparkmine.pipeline.config import Pipeline


def kept_versions(lake: Lake, days: int) -> dict[str, set[int]]:
    """The versions, by table, that stages have read or written in the last `days` days.

    All runs of the lake count, whatever their pipeline. A stage that was up to date read nothing.
    """
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    kept: dict[str, set[int]] = {}
    for row in ledger.read(lake):
        if row["at"] < since or row["status"] != ledger.SUCCEEDED or not row["stage"]:
            continue
        written = row["table"], row["version_written"]
        for table, version in (*row["versions_read"].items(), *_sides(lake, *written), written):
            kept.setdefault(table, set()).add(version)
    return kept


def _sides(lake: Lake, table: str, version: int) -> list[tuple[str, int]]:
    """The side tables that belong to a version of a stage's main table."""
    try:
        metadata = lake.table(table).commit(version).metadata or {}
    except (TableMissingError, VersionError):
        return []  # deleted, or older than the log
    return list((metadata.get("sides") or {}).items())


def maintain_pipeline(
    pipeline: Pipeline, lake: Lake, days: int, dry_run: bool = False
) -> Iterator[Upkeep]:
    """Maintain the tables of a pipeline, and the ledger; one after the other.

    Raises:
        LockedError: the pipeline runs.
        TableDamagedError, WriteConflictError, WarehouseError
    """
    what = f"pipeline {pipeline.name} in {lake.root}"
    with lake.locked(f"pipeline-{pipeline.name}", what, wait=0.0):
        kept = kept_versions(lake, days)
        names = [name for stage in pipeline.stages for name in (stage.writes, *stage.sides)]
        for name in [*names, ledger.TABLE]:
            table = lake.table(name)
            if table.exists():
                yield maintain(table, kept.get(name, set()), dry_run=dry_run)
