"""`sparkmine replay` and `sparkmine maintain` as an operator uses them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake, ledger
from sparkmine.pipeline.replay import Outcome, Replay, problem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Small = Callable[..., Path]
Command = Callable[..., tuple[int, str, str]]

# The last column is another one each time: what a replay is there to find.
RANDOM = "select id, household, day, amount, rand() as luck, shop, again from visits"


def contents(root: Path) -> set[Path]:
    """All files below, but for the logs of commands and the lock files that stay."""
    return {path for path in root.rglob("*") if not {"_logs", "_locks"} & set(path.parts)}


def newest_run(lake: Lake) -> str:
    return str(ledger.read(lake)[-1]["run_id"])


def statuses(output: str) -> dict[str, str]:
    """What the lines of a replay say of each stage."""
    return {
        line.split(":")[0]: line.split(": ", 1)[1]
        for line in output.splitlines()[1:-1]
        if not line.startswith(" ")
    }


def keep_for(lake: Lake, name: str, duration: str) -> None:
    lake.spark.sql(
        f"alter table delta.`{lake.table(name).path}` set tblproperties "
        f"('delta.deletedFileRetentionDuration' = 'interval {duration}')"
    )


@pytest.mark.slow
def test_replay_finds_what_is_not_the_same(
    command: Command, small: Small, spark: SparkSession
) -> None:
    file = small()
    file.write_text(file.read_text().split("  - stage: features")[0])
    (file.parent / "table.sql").write_text(RANDOM)
    assert command("run", str(file))[0] == 0
    root = file.parents[1] / "lake"
    lake = Lake(root, spark)
    run, before = newest_run(lake), contents(root)

    code, output, errors = command("replay", run, "--warehouse", str(root))
    found = statuses(output)
    assert code == 1 and errors.startswith(
        "REPLAY_DIFFERS: 1 of 4 stages are not what the run left: table (different)"
    )
    for stage, rows in {"ingest": "1,208", "clean": "1,193", "dedup": "1,173"}.items():
        assert found[stage].startswith(f"same, {rows} rows")
    assert "mart/visits@0: 1,173 rows of the run have no equal in the replay" in found["table"]
    example = next(line for line in output.splitlines() if line.startswith("    "))
    assert example.startswith('    {"id": ') and "luck " in example and "in the replay" in example
    assert contents(root) == before  # no trace

    # What it cannot repeat it names, and what is damaged it does not take for the same.
    (file.parent / "table.sql").write_text("select 1 as id")
    (file.parent / "visits.csv").unlink()
    victim = Path(lake.table("clean/visits").snapshot().files[0].path)
    victim.unlink()
    code, output, errors = command("replay", run, "--warehouse", str(root))
    found = statuses(output)
    assert code == 1 and "clean (failed), dedup (failed)" in errors
    assert "not replayed" in found["ingest"] and "visits.csv is gone" in found["ingest"]
    assert "not replayed" in found["table"] and "file table.sql changed" in found["table"]
    assert "TABLE_DAMAGED" in found["dedup"] and victim.name in found["dedup"]


def test_replay_of_a_run(
    command: Command, finished: Path, tmp_path: Path, spark: SparkSession
) -> None:
    root = tmp_path / "lake"
    shutil.copytree(finished / "lake", root, symlinks=True)
    lake = Lake(root, spark)
    before = contents(root)
    replay = Replay(lake, newest_run(lake))
    assert len(replay.lines) == 13
    replay.lines = [line for line in replay.lines if line["stage"] == "clean"]
    outcomes = list(replay.stages())
    assert [(o.stage, o.status, o.rows) for o in outcomes] == [("clean", "same", 1193)]
    assert problem(outcomes) is None
    assert contents(root) == before  # no trace
    code, _, errors = command("replay", "no-such-run", "--warehouse", str(root))
    assert code == 1 and errors.startswith("CONFIG_INVALID: there is no run 'no-such-run'")
    wrong = [*outcomes, Outcome("tree", "different"), Outcome("mlp", "not replayed")]
    assert "1 of 3 stages are not what the run left: tree (different)" in str(problem(wrong))


@pytest.mark.slow
def test_a_run_is_replayed_after_upkeep_and_goes_on(
    command: Command, small: Small, spark: SparkSession, finished: Path, tmp_path: Path
) -> None:
    """Every kind of stage; tables compacted and vacuumed, within and beyond their retention."""
    file, root = str(small()), tmp_path / "lake"
    shutil.copytree(finished / "lake", root, symlinks=True)
    lake = Lake(root, spark)
    run = newest_run(lake)
    for _ in range(2):
        code, output, errors = command("maintain", file)
        assert code == 0, errors
    assert "raw/visits: 25 files" in output and "nothing to do" in output
    code, output, errors = command("replay", run, "--warehouse", str(root))
    assert code == 0 and output.count(": same") == 13, output + errors
    # A table that changed since, whose files of the old version would go at once.
    assert command("run", file, "--only", "ingest", "--force")[0] == 0
    for name in lake.tables():
        keep_for(lake, name, "0 seconds")
    code, output, _ = command("maintain", file)
    held = next(line for line in output.splitlines() if line.startswith("raw/visits: "))
    assert code == 0 and "not vacuumed: runs of the last 30 days need version 0, which" in held
    code, output, errors = command("replay", run, "--warehouse", str(root))
    assert code == 0 and output.count(": same") == 13, output + errors
    # Nobody asks for the old versions any more: they go, and the pipeline goes on as it was.
    code, output, _ = command("maintain", file, "--days", "0")
    assert code == 0 and "files that went more than 0 days ago removed" in output
    code, output, _ = command("run", file)
    assert code == 0 and "failed" not in output
    code, output, _ = command("plan", file)
    assert code == 0 and output.count("up to date") == 13
    code, output, errors = command("replay", run, "--warehouse", str(root))
    assert code == 1 and "clean (failed)" in errors


def test_upkeep_of_a_pipeline(
    command: Command, small: Small, spark: SparkSession, finished: Path, tmp_path: Path
) -> None:
    file, root = small(), tmp_path / "lake"
    file.write_text(file.read_text().split("  - stage: clean")[0])  # two tables and the ledger
    shutil.copytree(finished / "lake", root, symlinks=True)
    lake = Lake(root, spark)
    before = contents(root)
    code, output, _ = command("maintain", str(file), "--dry-run")
    assert code == 0 and contents(root) == before
    assert [line.split(":")[0] for line in output.splitlines()[:-1]] == [
        *("raw/visits", "quarantine/ingest", "_ledger")
    ]
    (line,) = [line for line in output.splitlines() if line.startswith("_ledger")]
    # The ledger is written now and then while a run goes on.
    assert re.search(r"[2-9] small files would be put into 1", line)
    # Commits that are not a stage's and tables that were compacted are no reason to run again.
    spark.sql(f"alter table delta.`{lake.table('raw/visits').path}` set tblproperties ('a' = 'b')")
    assert command("maintain", str(file))[0] == 0
    code, output, _ = command("plan", str(file))
    assert code == 0 and "up to date (raw/visits version 0)" in output
    with lake.locked("pipeline-small", "the test"):
        code, _, errors = command("maintain", str(file))
    assert code == 1 and errors.startswith("LOCKED: pipeline small")
    assert command("maintain", str(file), "--days", "-1")[0] == 1
