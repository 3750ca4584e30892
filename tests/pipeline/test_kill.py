"""A driver killed by SIGKILL in the middle of a stage: the next run resumes, nothing is doubled."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.lake import Lake, ledger
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Small = Callable[..., Path]
Started = Callable[..., contextlib.AbstractContextManager[subprocess.Popen[str]]]

# Columns that name a run or its source's folder, and so differ between two runs.
RUN_COLUMNS = {"run_id", "sha256", "bytes", "file", "fingerprint", "source"}


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)


def kill_in(started: Started, file: Path, warehouse: Path, stage: str, delay: float) -> None:
    """Run until `stage` has been running for `delay` seconds, then SIGKILL driver and JVM."""
    with started(file, warehouse, "run", str(file), "--log-json") as process:
        for event in events(process):
            assert event.get("status") != "failed", event
            if event["stage"] == stage and event.get("status") == "running":
                time.sleep(delay)
                os.killpg(process.pid, signal.SIGKILL)
                return
        raise AssertionError(f"the run ended before stage {stage}")


def finish(spark: SparkSession, file: Path, warehouse: Path) -> dict[str, str]:
    """Run to the end, in this process; the status of every stage."""
    found: dict[str, str] = {}

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] == "stage":
            found[event["stage"]] = event["status"]

    pipeline = load_pipeline(file, warehouse=str(warehouse))
    Runner(pipeline, Lake(warehouse, spark), note).run()
    return found


def content(spark: SparkSession, warehouse: Path) -> dict[str, list[str]]:
    """All rows of all tables but the ledger, without what names a run."""
    lake = Lake(warehouse, spark)
    found = {}
    for name in lake.tables():
        if not name.startswith("_"):
            frame = lake.table(name).snapshot().dataframe(spark)
            columns = sorted(c for c in frame.columns if c not in RUN_COLUMNS)
            rows = frame.select(*columns).collect()
            found[name] = sorted(str([rounded(value) for value in row]) for row in rows)
    return found


def rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def first_stages(file: Path) -> Path:
    """The pipeline cut after its third stage, for quick tests."""
    file.write_text(file.read_text().split("  - stage: query")[0])
    return file


def test_a_killed_run_resumes(
    spark: SparkSession, small: Small, finished: Path, tmp_path: Path, started: Started
) -> None:
    file, warehouse = first_stages(small()), tmp_path / "killed"
    kill_in(started, file, warehouse, "ingest", 0.5)
    lake = Lake(warehouse, spark)
    assert not lake.table("raw/visits").exists()  # it was killed in time
    assert set(finish(spark, file, warehouse).values()) == {"done"}
    found, expected = content(spark, warehouse), content(spark, finished / "lake")
    tables = {"raw/visits", "clean/visits", "unique/visits", "removed/dedup"}
    assert tables <= set(found) and found == {name: expected[name] for name in found}
    killed, *_, last = ledger.read(lake)
    assert (killed["stage"], killed["status"]) == ("", ledger.STARTED)
    assert last["run_id"] != killed["run_id"]


@pytest.mark.slow
def test_kills_in_every_kind_of_stage(
    spark: SparkSession, small: Small, tmp_path: Path, started: Started
) -> None:
    file = small(training=True)
    kills = {"ingest": 0.5, "clean": 1.0, "features": 0.4, "mlp": 8.0, "report": 1.0}
    tables = {stage.name: stage.writes for stage in load_pipeline(file).stages}
    lake = Lake(tmp_path / "killed", spark)
    for stage, delay in kills.items():
        kill_in(started, file, tmp_path / "killed", stage, delay)
        assert not lake.table(tables[stage]).exists()  # it was killed in time
    statuses = finish(spark, file, tmp_path / "killed")
    assert statuses.pop("report") == "done"
    assert set(statuses.values()) == {"up to date"}
    finish(spark, file, tmp_path / "undisturbed")
    assert content(spark, tmp_path / "killed") == content(spark, tmp_path / "undisturbed")


@pytest.mark.slow
def test_rows_are_sent_again_once(
    spark: SparkSession,
    small: Small,
    finished: Path,
    tmp_path: Path,
    started: Started,
    kill_at: Callable[..., None],
) -> None:
    """Killed after the first commit, and after the second; the third command goes through."""
    file, warehouse = first_stages(small()), tmp_path / "sent"
    shutil.copytree(finished / "lake", warehouse, symlinks=True)
    # The rule is corrected for the 10 rows of shop `closed`; 5 rows without household stay.
    file.write_text(file.read_text().replace("shop <> 'closed'", "shop <> 'nowhere'"))
    again = "quarantine", "clean/visits", "--again", str(file)
    lake = Lake(warehouse, spark)
    table, side = lake.table("clean/visits"), lake.table("quarantine/clean")

    def entry(name: str, version: int) -> Path:
        return warehouse / name / "_delta_log" / f"{version:020}.json"

    def ids() -> list[int]:
        rows = table.snapshot().dataframe(spark).where("id between 12 and 26").collect()
        return sorted(row.id for row in rows)

    def marked() -> list[bool]:
        rows = side.snapshot().dataframe(spark).collect()
        return sorted(row["released"] is not None for row in rows)

    closed = list(range(12, 22))
    kill_at(entry("quarantine/clean", 1), file, warehouse, *again)
    assert (ids(), marked()) == ([], [False] * 5 + [True] * 10)
    # The marks of the first are void: nothing was appended under them.
    kill_at(entry("clean/visits", 1), file, warehouse, *again)
    assert (ids(), marked()) == (closed, [False] * 5 + [True] * 10)
    with started(file, warehouse, *again) as process:
        output, _ = process.communicate(timeout=300)
    assert "5 rows sent again, 0 kept, 5 quarantined, 0 removed" in output
    assert (ids(), marked()) == (closed, [False] * 5)
    assert table.snapshot().rows == 1193 + 10
