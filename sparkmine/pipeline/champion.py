"""Take an earlier champion back: one commit, which the champion's stage counts as its own."""

from __future__ import annotations

import datetime
import time
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.lake.log import Commit
from sparkmine.stages.champion import SCHEMA, Champion, champions, metrics_of


def history(lake: Lake, name: str) -> tuple[Commit, list[dict[str, Any]]]:
    """The newest commit of a champion's table, and the versions of the champion, oldest first.

    Raises:
        ConfigError: it is no table of champions.
    """
    table = lake.table(name)
    if not table.exists():
        raise ConfigError(f"there is no table {name} in {lake.root}")
    snapshot = table.snapshot()
    last = next((c for c in table.commits() if (c.metadata or {}).get("stage")), None)
    if last is None or (last.metadata or {}).get("kind") != Champion.kind:
        raise ConfigError(f"table {name} is not written by a champion stage")
    return last, champions(snapshot, lake.spark)


def roll_back(lake: Lake, name: str, version: int | str) -> dict[str, Any]:
    """Make an earlier version the champion again, as a new version; returns its row.

    It stays until an evaluation that has not been seen yet passes the gate.

    Args:
        version: Its number, or the name of a model: the newest version of it before the last.

    Raises:
        ConfigError: there is no such version, or its model's files are gone.
        LockedError: the pipeline runs.
    """
    began = time.monotonic()
    last, _ = history(lake, name)
    data = last.metadata or {}
    what = f"pipeline {data['pipeline']} in {lake.root}"
    with lake.locked(f"pipeline-{data['pipeline']}", what, wait=0.0):
        last, rows = history(lake, name)
        found = _version(name, rows, version)
        version = found["version"]
        if not (Path(lake.root) / found["folder"]).is_dir():
            raise ConfigError(
                f"the model of version {version} of {name} is gone: {found['folder']} is no folder"
            )
        why = f"rolled back to version {version}"
        today = datetime.datetime.now(datetime.UTC)
        row = {**found, "version": len(rows) + 1, "why": why, "date": f"{today:%Y-%m-%d}"}
        rows.append(row)
        data = last.metadata or {}
        metadata = {
            **data,
            "run_id": f"{today:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
            "at": today.isoformat(),
            "reason": why,
            "seconds": round(time.monotonic() - began, 3),
            "metrics": metrics_of(rows, promoted=False, verdict=data["metrics"]["evaluation"]),
        }
        lake.table(name).write(
            lake.spark.createDataFrame(pa.Table.from_pylist(rows, SCHEMA)),
            metadata=metadata,
            application=f"{data['stage']}:roll-back:{uuid.uuid4().hex}",
        )
    return row


def _version(name: str, rows: list[dict[str, Any]], wanted: int | str) -> dict[str, Any]:
    if isinstance(wanted, int):
        found = next((row for row in rows if row["version"] == wanted), None)
        what = f"version {wanted}"
    else:
        found = next((row for row in reversed(rows[:-1]) if row["model"] == wanted), None)
        what = f"earlier version of model {wanted}"
    if found is None:
        there = ", ".join(f"{row['version']} ({row['model']})" for row in rows) or "none"
        raise ConfigError(f"{name} has no {what}; there are {there}")
    return found
