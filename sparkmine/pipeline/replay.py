"""Replay a run: each stage again, from the versions that it read, compared with what it wrote.

Nothing of the YAML file is needed: a stage's commit holds its configuration, seed, inputs and the
state of its files. What the replay writes goes to a scratch folder in the warehouse, which is
removed at the end, and is compared row by row (`lake/difference.py`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sparkmine.errors import ConfigError, ReplayError
from sparkmine.lake import Lake, ledger
from sparkmine.lake.difference import Difference, difference
from sparkmine.lake.failures import translated
from sparkmine.lake.log import Commit
from sparkmine.pipeline.failures import coded
from sparkmine.pipeline.fingerprint import changed_file
from sparkmine.stages import STAGES, Context, Result, Stage

SAME, DIFFERENT, NOT_REPLAYED, FAILED = "same", "different", "not replayed", "failed"


@dataclass(frozen=True)
class Outcome:
    """What the replay of one stage gave.

    Attributes:
        reason: Why it is not `same`; a line for each table that differs.
        examples: Rows that differ.
    """

    stage: str
    status: str
    rows: int | None = None
    seconds: float = 0.0
    reason: str = ""
    examples: tuple[str, ...] = ()


class NotReplayableError(Exception):
    """Why a stage cannot be made again as it was."""


class Replay:
    """The replay of one run.

    Raises:
        ConfigError: there is no such run, or none of its stages ran.
    """

    def __init__(self, lake: Lake, run_id: str) -> None:
        self.lake = lake
        self.run_id = run_id
        found = ledger.of_run(ledger.read(lake), run_id)
        self.lines = [row for row in found if row["stage"] and row["status"] == ledger.SUCCEEDED]
        if not self.lines:
            raise ConfigError(
                f"run {run_id} committed no stage, so there is nothing to replay; "
                f"`sparkmine runs {run_id}` shows why"
            )
        self.pipeline, self.date = found[0]["pipeline"], found[0]["date"]
        self.code = found[0]["code_version"]

    def stages(self) -> Iterator[Outcome]:
        """Replay each stage, in the order in which they ran.

        Raises:
            LockedError: another process replays this run.
        """
        what = f"the replay of run {self.run_id}"
        with self.lake.locked(f"replay-{self.run_id}", what, wait=0.0):
            scratch = Lake(f"{self.lake.root}/_replay/{self.run_id}", self.lake.spark)
            try:
                for line in self.lines:
                    _remove(scratch)  # what a replay that was killed has left, too
                    yield self._outcome(line, scratch)
            finally:
                _remove(scratch)

    def _outcome(self, line: Mapping[str, Any], scratch: Lake) -> Outcome:
        began = time.monotonic()
        status, reason, rows = SAME, "", None
        examples: tuple[str, ...] = ()
        try:
            commit = self._commit(line)
            rows = commit.rows
            differences = self._replayed(commit, scratch)
            if differences:
                status = DIFFERENT
                reason = "; ".join(name for name, _ in differences)
                examples = tuple(row for _, found in differences for row in found)
        except NotReplayableError as error:
            status, reason = NOT_REPLAYED, str(error)
        except Exception as error:
            status, reason = FAILED, str(coded(error))
        seconds = time.monotonic() - began
        return Outcome(line["stage"], status, rows, seconds, reason, examples)

    def _commit(self, line: Mapping[str, Any]) -> Commit:
        commit = self.lake.table(line["table"]).commit(line["version_written"])
        data = commit.metadata or {}
        if (data.get("run_id"), data.get("stage")) != (self.run_id, line["stage"]):
            raise NotReplayableError(
                f"version {commit.version} of {line['table']} is not this run's: the table was "
                "deleted and made again"
            )
        if "again" in data:
            raise NotReplayableError(
                "it sent rows of its quarantine again; replay the run that had put them there"
            )
        if "base" not in data:
            raise NotReplayableError(
                "it ran with a sparkmine that did not note what a replay needs"
            )
        return commit

    def _replayed(self, commit: Commit, scratch: Lake) -> list[tuple[str, tuple[str, ...]]]:
        """Run a stage into `scratch`; what differs, with examples."""
        data = commit.metadata or {}
        stage = _stage(data)
        context = self._context(data, scratch)
        with translated(f"an input of stage {stage.name}"):
            result = stage.run(context)
            partitions = stage.output.partition_by  # whose empty texts Delta takes for null
            again = scratch.table(stage.writes).write(result.frame, partition_by=partitions)
            result.release()
        found = [_accounts(data, result)]
        pairs = [(stage.writes, commit.version, again.version, data["scope"])]
        scope = f"fingerprint = '{data['fingerprint']}'"
        for name, written in data["sides"].items():
            pairs.append((name, written, result.sides[name], scope))
        for name, written, anew, where in pairs:
            old = self.lake.table(name).snapshot(written)
            old = old.where(where) if where else old
            new = scratch.table(name).snapshot(anew)
            with translated(old.path):
                spark = self.lake.spark
                differs = difference(
                    old.dataframe(spark), new.dataframe(spark), ("the run", "the replay")
                )
            found.append((_in_words(f"{name}@{written}", differs), _examples(differs)))
        return [(what, examples) for what, examples in found if what]

    def _context(self, data: Mapping[str, Any], scratch: Lake) -> Context:
        return Context(
            spark=self.lake.spark,
            lake=self.lake,
            stage=data["stage"],
            run_id=self.run_id,
            fingerprint=data["fingerprint"],
            seed=data["components"]["seed"],
            date=data["date"],
            code_version=data["components"]["code"],
            base=Path(data["base"]),
            inputs={
                table: self.lake.table(table).snapshot(version)
                for table, version in data["read"].items()
            },
            commits={
                table: self.lake.table(table).commit(version)
                for table, version in data["followed"].items()
            },
            progress=lambda event: None,
            scratch=scratch,
        )


def _stage(data: Mapping[str, Any]) -> Stage:
    """The stage as its commit describes it, if what it reads beside tables is as it was."""
    kind = STAGES.get(data["kind"])
    try:
        if kind is None:
            raise NotReplayableError(f"this sparkmine has no stages of kind {data['kind']}")
        stage = kind.model_validate_json(json.dumps(data["config"]))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise NotReplayableError(
            f"this sparkmine does not take its configuration any more ({place}: {first['msg']})"
        ) from None
    if stage.always:
        raise NotReplayableError(stage.always)
    changed = changed_file(data["components"]["files"], stage, Path(data["base"]))
    if changed:
        raise NotReplayableError(changed)
    return stage


def _accounts(data: Mapping[str, Any], result: Result) -> tuple[str, tuple[str, ...]]:
    """Whether as many rows came in and went to quarantine."""
    for name, now in (("rows_in", result.rows_in), ("quarantined", result.quarantined)):
        if data[name] != now:
            return f"{name} was {data[name]} and is {now}", ()
    return "", ()


def _in_words(table: str, differs: Difference | None) -> str:
    if differs is None:
        return ""
    if differs.columns:
        return f"{table}: {differs.columns}"
    return (
        f"{table}: {differs.only_left:,} rows of the run have no equal in the replay, "
        f"{differs.only_right:,} the other way round"
    )


def _examples(differs: Difference | None) -> tuple[str, ...]:
    return () if differs is None else differs.examples


def _remove(scratch: Lake) -> None:
    """Delete the scratch folder, wherever it is."""
    if scratch.local:
        shutil.rmtree(scratch.root, ignore_errors=True)
        with contextlib.suppress(OSError):
            Path(scratch.root).parent.rmdir()
        return
    jvm = scratch.spark.sparkContext._jvm
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(scratch.root)
    path.getFileSystem(scratch.spark._jsparkSession.sessionState().newHadoopConf()).delete(
        path, True
    )


def problem(outcomes: Sequence[Outcome]) -> ReplayError | None:
    """The error that a replay ends with; None when all that was replayed is the same."""
    wrong = [outcome for outcome in outcomes if outcome.status in (DIFFERENT, FAILED)]
    if not wrong:
        return None
    names = ", ".join(f"{outcome.stage} ({outcome.status})" for outcome in wrong)
    return ReplayError(
        f"{len(wrong)} of {len(outcomes)} stages are not what the run left: {names}; "
        "the run's tables are as they were"
    )
