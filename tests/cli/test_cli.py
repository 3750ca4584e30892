"""The commands as a user types them: what they print, and how they end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake, ledger

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Small = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def warehouse(finished: Path, tmp_path: Path) -> str:
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    return str(tmp_path / "lake")


def test_runs_and_report(command: Command, warehouse: str) -> None:
    code, output, _ = command("runs", "--warehouse", warehouse)
    head, line = output.splitlines()
    assert code == 0 and head.split() == [
        *("run", "pipeline", "date", "status", "stages", "run", "up", "to", "date", "seconds")
    ]
    run_id, pipeline, _, status, stages, skipped, _ = line.split()
    assert (pipeline, status, stages, skipped) == ("small", "succeeded", "13", "0")
    code, output, _ = command("runs", run_id, "--warehouse", warehouse)
    (clean,) = [line.split() for line in output.splitlines() if line.startswith("clean ")]
    assert clean[1:6] == ["succeeded", "1,208", "1,193", "15", "0"]
    assert clean[7] == "clean/visits@0"
    code, output, _ = command("report", "--warehouse", warehouse)
    assert code == 0 and Path(output.strip()).name == "report.html"
    assert Path(output.strip()).is_file()
    wrongs = (
        ["runs", "no-such-run"],
        ["report", "no-such-run"],
        ["report", run_id, "no-such-run"],
        ["report", "no-such-run", "no-such-run"],
    )
    for wrong in wrongs:
        code, output, errors = command(*wrong, "--warehouse", warehouse)
        assert code == 1 and errors.startswith("CONFIG_INVALID: ") and "no-such-run" in errors


@pytest.mark.slow
def test_plan_and_run_say_the_same(command: Command, small: Small, warehouse: str) -> None:
    file = str(small())
    code, output, _ = command("plan", file)
    assert code == 0 and output.count("up to date") == 13
    code, output, _ = command("plan", file, "--set", "tree.max_depth=2")
    assert code == 1  # the key is model.max_depth
    code, output, _ = command("plan", file, "--set", "tree.model.max_depth=2")
    lines = output.splitlines()
    assert "tree: runs, because model.max_depth changed (3 → 2)" in lines
    assert "averaging: runs, because stage tree runs" in lines
    assert "logistic: up to date (scores/logistic version 0)" in lines
    code, output, errors = command("run", file, "--only", "tree", "--set", "tree.model.max_depth=2")
    assert code == 0 and "tree: runs, because model.max_depth changed (3 → 2)" in output
    assert "features: left as it is" in output and errors == ""
    code, output, _ = command("run", file, "--from", "report")
    assert code == 0 and output.count("left as it is") == 12
    assert "report: runs, because input scores/tree changed (version 0 → 1)" in output


def test_quarantine(command: Command, small: Small, warehouse: str) -> None:
    code, output, _ = command("quarantine", "clean/visits", "--warehouse", warehouse)
    head, names, *lines = output.splitlines()
    assert code == 0 and head.startswith("quarantine/clean: 15 rows of run ")
    assert names.split() == ["reason", "column", "rows", "sample", "source"]
    assert lines[0].startswith("known shop") and lines[0].split()[2] == "10"
    assert lines[2].split()[:3] == ["not_null", "household", "5"] and "raw/visits@0" in lines[2]
    mended = ("--again", str(small()), "--set", "clean.columns.household.not_null=false")
    code, output, _ = command("quarantine", "clean/visits", *mended)
    assert code == 0 and output == (
        "clean/visits: 15 rows sent again, 5 kept, 10 quarantined, 0 removed; version 1\n"
    )
    code, output, _ = command("runs", "--warehouse", warehouse)
    first, again = (line.split()[0] for line in output.splitlines()[1:])
    code, output, errors = command("report", first, again, "--warehouse", warehouse)
    lines = output.splitlines()
    assert (code, errors) == (0, "") and lines[1].split()[:2] == ["A", first]
    assert "1 of 13 stages have other results" in lines
    reason = "rows of its quarantine were sent again"
    assert f"  clean: Both depend on the same; version 1: {reason}." in lines
    (missing,) = [line for line in lines if line.endswith(": Run B has no line of it.")]
    assert missing.startswith("  ingest, dedup, table, ") and missing.count(",") == 11
    assert "evaluate: Only run A has an evaluation." in lines
    assert lines[-1] == f"{warehouse}/_reports/{first}..{again}.html"
    assert "known shop" in Path(lines[-1]).read_text(encoding="utf-8")
    code, output, _ = command("quarantine", "quarantine/clean", "--warehouse", warehouse)
    assert code == 0 and "10 rows" in output and "not_null" not in output
    for wrong in (["clean/none"], ["clean/visits", "--run", "no-such-run"]):
        code, _, errors = command("quarantine", *wrong, "--warehouse", warehouse)
        assert code == 1 and errors.startswith("CONFIG_INVALID: ") and wrong[-1] in errors


def test_doctor(command: Command, tmp_path: Path) -> None:
    code, output, _ = command("doctor", "--ranks", "999", "--warehouse", str(tmp_path))
    lines = output.splitlines()
    assert code == 1 and [line for line in lines if line.startswith("FAIL")] == [lines[-1]]
    assert "999" in lines[-1]
    assert not list(tmp_path.iterdir())
    assert {"Java", "tensorflow", "horovod", "disk", "Python of the workers"} <= {
        line.split(":")[0].removeprefix("ok").strip() for line in lines
    }


def test_sigterm_in_the_middle_of_a_stage(
    command: Command, small: Small, warehouse: str, spark: SparkSession
) -> None:
    ended = threading.Event()

    def terminate() -> None:
        """As soon as the stage's own Spark job runs."""
        store = spark.sparkContext._jsc.sc().statusStore()
        while not ended.wait(0.02):
            jobs = store.jobsList(None)
            newest = jobs.head() if jobs.nonEmpty() else None
            if newest is not None and str(newest.status()) == "RUNNING":
                group = newest.jobGroup()
                if group.isDefined() and group.get().endswith("/clean"):
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    sender = threading.Thread(target=terminate)
    sender.start()
    try:
        code, _, errors = command("run", str(small()), "--only", "clean", "--force")
    finally:
        ended.set()
        sender.join()
    assert code == 143 and errors.startswith("TERMINATED: ")
    lake = Lake(warehouse, spark)
    assert lake.table("clean/visits").snapshot().version == 0
    last = [line for line in ledger.read(lake) if line["stage"] == "clean"][-1]
    assert last["status"] == ledger.FAILED and "TERMINATED" in last["error"]


def test_a_query_that_does_not_fit_its_tables(
    command: Command, small: Small, warehouse: str
) -> None:
    file = small()
    (file.parent / "table.sql").write_text("select id, no_such_column from visits")
    code, output, errors = command("run", str(file))
    assert code == 1 and "table: failed after" in output
    first, second = errors.splitlines()
    assert first.startswith("log: ")
    assert "table.sql" in second and "no_such_column" in second


def typed(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own that must end before Spark starts."""
    environment = {**os.environ, "JAVA_HOME": "/no/java"}
    return subprocess.run(
        [sys.executable, "-m", "sparkmine.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run"], 2, "usage: sparkmine run"),
        (["run", "small.yaml", "--only", "nothing"], 1, "CONFIG_INVALID: .*nothing"),
        (["run", "gone.yaml"], 1, "CONFIG_INVALID: .*gone.yaml"),
        (["run", "small.yaml", "--warehouse", "visits.csv/w"], 1, "WAREHOUSE_UNWRITABLE: .*visits"),
        (["run", "small.yaml"], 1, "JAVA_MISSING: .*openjdk-17-jre-headless"),
        (["runs"], 1, "CONFIG_INVALID: there is no run in warehouse/retail"),
    ],
)
def test_mistakes_end_with_one_line(
    small: Small, arguments: list[str], code: int, says: str
) -> None:
    done = typed(*arguments, folder=small().parent)
    assert done.returncode == code
    lines = done.stderr.splitlines()
    assert len(lines) == 1 or code == 2
    assert re.search(says, done.stderr)
