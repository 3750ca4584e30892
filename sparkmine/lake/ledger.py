"""The ledger: one line for every stage of every run, in a Delta table.

The truth is the metadata of each stage's main commit; the ledger is written after it and can be
rebuilt from it (all but the lines of failures that have committed nothing).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.lake.log import Commit
from sparkmine.lake.table import Lake

TABLE = "_ledger"
STARTED, SUCCEEDED, UP_TO_DATE, FAILED = "started", "succeeded", "up to date", "failed"

SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("pipeline", pa.string()),
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("status", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("date", pa.string()),
        ("seconds", pa.float64()),
        ("reason", pa.string()),
        ("fingerprint", pa.string()),
        ("code_version", pa.string()),
        ("seed", pa.int64()),
        ("versions_read", pa.map_(pa.string(), pa.int64())),
        ("table", pa.string()),
        ("version_written", pa.int64()),
        ("rows_in", pa.int64()),
        ("rows_out", pa.int64()),
        ("quarantined", pa.int64()),
        ("removed", pa.int64()),
        ("metrics", pa.string()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line. A line without a stage is about the run as a whole."""

    run_id: str
    pipeline: str
    stage: str = ""
    kind: str = ""
    status: str
    at: Any
    date: str
    seconds: float | None = None
    reason: str = ""
    fingerprint: str = ""
    code_version: str = ""
    seed: int | None = None
    versions_read: Mapping[str, int] = field(default_factory=dict)
    table: str = ""
    version_written: int | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    quarantined: int | None = None
    removed: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


def append(lake: Lake, lines: Iterable[Line], mode: str = "append") -> None:
    """Write lines in one commit."""
    columns: dict[str, list[Any]] = {f.name: [] for f in fields(Line)}
    for line in lines:
        for name, value in asdict(line).items():
            if name == "metrics":
                value = json.dumps(value)
            elif name == "versions_read":
                value = list(value.items())
            columns[name].append(value)
    table = pa.table([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)
    frame = lake.spark.createDataFrame(table).coalesce(1)
    lake.table(TABLE).write(frame, mode)


def read(lake: Lake) -> list[dict[str, Any]]:
    """All lines as dicts, oldest first; empty when nothing has run."""
    table = lake.table(TABLE)
    if not table.exists():
        return []
    rows = table.snapshot().dataframe(lake.spark).toArrow().to_pylist(maps_as_pydicts="strict")
    return sorted(rows, key=lambda row: (row["at"], row["run_id"], row["stage"]))


def of_run(lines: Sequence[Mapping[str, Any]], run_id: str) -> list[Mapping[str, Any]]:
    """The lines of one run.

    Raises:
        ConfigError: there is no such run.
    """
    found = [line for line in lines if line["run_id"] == run_id]
    if not found:
        raise ConfigError(f"there is no run {run_id!r}; `sparkmine runs` lists them")
    return found


def outcome(lines: Iterable[Mapping[str, Any]]) -> tuple[str, float | None]:
    """How a run ended, of all its lines: its status in words, and its seconds if it has ended."""
    whole = [line for line in lines if not line["stage"]]
    if not whole:
        return "unknown", None
    status = whole[-1]["status"]
    # A run that started and said no more was killed, or is running now.
    return "not finished" if status == STARTED else status, whole[-1]["seconds"]


def line_of(commit: Commit, **changes: Any) -> Line:
    """The line that a stage's main commit stands for."""
    data = commit.metadata or {}
    removed = data["removed"]
    if removed is None and data["accounted"]:
        removed = data["rows_in"] - (commit.rows or 0) - data["quarantined"]
    values: dict[str, Any] = {
        "run_id": data["run_id"],
        "pipeline": data["pipeline"],
        "stage": data["stage"],
        "kind": data["kind"],
        "status": FAILED if data.get("refused") else SUCCEEDED,
        "at": _moment(data["at"]),
        "date": data["date"],
        "seconds": seconds_of(commit),
        "reason": data["reason"],
        "fingerprint": data["fingerprint"],
        "code_version": data["components"]["code"],
        "seed": data["components"]["seed"],
        # What counts for the fingerprint may be older than what was read: see `Decisions`.
        "versions_read": data.get("read", data["components"]["inputs"]),
        "table": data["table"],
        "version_written": commit.version,
        "rows_in": data["rows_in"],
        "rows_out": commit.rows,
        "quarantined": data["quarantined"],
        "removed": removed,
        "metrics": data["metrics"],
        "error": data.get("refused") or "",
    }
    return Line(**{**values, **changes})


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Rows of a stage's table as a whole: in = kept + quarantined + removed, where accounted.

    Attributes:
        sent_again: Kept rows that came from the quarantine, after the run.
    """

    rows_in: int | None
    kept: int | None
    quarantined: int | None
    removed: int | None
    sent_again: int = 0


def accounts_of(commit: Commit) -> Accounts:
    """The accounts after a stage's main commit; `line_of` has what the commit itself did.

    They differ where it sent rows of the quarantine again (`pipeline/again.py`).
    """
    whole = (commit.metadata or {}).get("whole")
    if whole is not None:
        return Accounts(**whole)
    line = line_of(commit)
    return Accounts(
        rows_in=line.rows_in,
        kept=line.rows_out,
        quarantined=line.quarantined,
        removed=line.removed,
    )


def seconds_of(commit: Commit) -> float:
    """How long a stage took: until its commit began, and the commit, where Spark does the work."""
    data = commit.metadata or {}
    began = _moment(data["at"]).timestamp()
    return round(float(data["seconds"] + max(commit.at - began, 0.0)), 3)


def is_of_commit(row: Mapping[str, Any]) -> bool:
    """Whether a line stands for a commit of its run: a success, or a result that was refused."""
    return bool(row["stage"]) and (
        row["status"] == SUCCEEDED
        or (row["status"] == FAILED and row["version_written"] is not None)
    )


def rebuild(lake: Lake) -> int:
    """Write the ledger again from the commits of all tables; returns the number of lines.

    Lines of failures and of runs as a whole are kept where the old ledger can be read.
    """
    lines = [
        line_of(commit)
        for name in lake.tables()
        if not name.startswith("_")
        for commit in lake.table(name).commits()
        if (commit.metadata or {}).get("sparkmine") == 1
    ]
    kept = [
        Line(**{**row, "metrics": json.loads(row["metrics"])})
        for row in (read(lake) if lake.table(TABLE).exists() else [])
        if not is_of_commit(row)
    ]
    append(lake, sorted([*lines, *kept], key=lambda line: line.at), "overwrite")
    return len(lines) + len(kept)


def _moment(text: str) -> Any:
    import datetime

    return datetime.datetime.fromisoformat(text)
