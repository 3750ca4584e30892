"""Run a pipeline: pin inputs, skip what is up to date, commit each stage once, keep the ledger."""

from __future__ import annotations

import datetime
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sparkmine import errors
from sparkmine.errors import (
    AccountingError,
    ConfigError,
    InternalError,
    SparkmineError,
    VersionError,
)
from sparkmine.expr import Expr, parse
from sparkmine.expr.nodes import Column, Compare, Literal, Logic
from sparkmine.lake import Lake, Snapshot, ledger
from sparkmine.lake.log import Commit, translated
from sparkmine.pipeline.config import Pipeline
from sparkmine.pipeline.fingerprint import code_version, components, difference, fingerprint
from sparkmine.stages import Context, Result, Stage
from sparkmine.stages.base import artifact_folder

log = logging.getLogger(__name__)

# A commit to the ledger costs up to a second, which short stages should not pay one by one. What
# a killed run did not write, the next one takes from the stages' own commits.
LEDGER_SECONDS = 60.0

Event = Mapping[str, Any]
Emit = Callable[[Event], None]

# Commits of these change no row: whoever compacts or vacuums a table does not own its content.
_MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "REORG", "FSCK")
_WORKER_ERROR = re.compile(r"sparkmine\.[\w.]+\.(\w+): (?:[A-Z_]+: )?(.+)")


@dataclass(frozen=True)
class Decision:
    """What to do with a stage.

    Attributes:
        last: Its newest commit in its scope, if it has one.
        newest: The newest version of its table that it wrote, in any scope.
        reason: Why it must run, in one line; empty when `last` holds its result already.
    """

    last: Commit | None
    newest: int | None
    reason: str
    parts: Mapping[str, Any]
    fingerprint: str


class Runner:
    """One run of one pipeline."""

    def __init__(
        self, pipeline: Pipeline, lake: Lake, emit: Emit, run_id: str | None = None
    ) -> None:
        self.pipeline = pipeline
        self.lake = lake
        self.emit = emit
        self.run_id = run_id or new_run_id()
        self._commits: dict[str, Commit] = {}
        self._newest: dict[str, int] = {}
        self._snapshots: dict[tuple[str, int], Snapshot] = {}
        self._known: set[tuple[str, str]] = set()
        self._pending: list[ledger.Line] = []
        self._flushed = time.monotonic()

    def run(
        self, *, start: str | None = None, only: str | None = None, force: bool = False
    ) -> dict[str, Commit]:
        """Bring all stages up to date, or those selected.

        Args:
            start: Leave the stages before this one as they are (`--from`).
            only: Leave all other stages as they are.
            force: Run the selected stages even if nothing changed.

        Returns:
            The main commit of every stage, by stage name.

        Raises:
            SparkmineError: the first stage that fails ends the run.
        """
        selected = self._selected(start, only)
        what = f"pipeline {self.pipeline.name} in {self.lake.root}"
        began = time.monotonic()
        with self.lake.locked(f"pipeline-{self.pipeline.name}", what, wait=0.0):
            self._known = {
                (row["run_id"], row["stage"])
                for row in ledger.read(self.lake)
                if row["status"] == ledger.SUCCEEDED
            }
            self._note(ledger.STARTED)
            self.emit(
                {
                    "event": "run",
                    "run_id": self.run_id,
                    "stages": self.pipeline.names,
                    "pipeline": self.pipeline.name,
                    "date": self.pipeline.date,
                    "warehouse": self.lake.root,
                }
            )
            found: dict[str, Commit] = {}
            try:
                for stage in self._needed(selected):
                    found[stage.name] = self._stage(stage, stage.name in selected, force)
            except BaseException as error:
                self._note(ledger.FAILED, time.monotonic() - began, str(coded(error)))
                try:
                    self._flush()
                except Exception:
                    # What ended the run is what its user must see.
                    log.exception("the ledger could not be written")
                raise
            self._note(ledger.SUCCEEDED, time.monotonic() - began)
            self._flush()
        self.emit({"event": "end", "seconds": time.monotonic() - began})
        return found

    def decide(self, stage: Stage, force: bool = False) -> Decision:
        """Whether a stage must run, given the versions of its inputs."""
        parts = self._parts(stage)
        print_ = fingerprint(parts)
        last, newest = self._last(stage)
        reason = ""
        if last is None:
            reason = "it has not run yet"
        else:
            data = last.metadata or {}
            if data["fingerprint"] != print_:
                reason = difference(data["components"], parts)
            elif data["artifact"] and not artifact_folder(self.lake, stage.name, print_).is_dir():
                reason = "its files are gone"
            elif not _adds_up(ledger.line_of(last), data["accounted"]):
                reason = "its rows did not add up"
            elif stage.always:
                reason = stage.always
            elif force:
                reason = "forced"
        return Decision(last, newest, reason, parts, print_)

    def follow(self, stage: Stage, commit: Commit, newest: int | None = None) -> None:
        """Take a stage's commit as the input of those after it.

        Args:
            newest: The newest version that the stage wrote, if that is not this commit's.
        """
        self._commits[stage.writes] = commit
        self._newest[stage.writes] = commit.version if newest is None else newest

    def _selected(self, start: str | None, only: str | None) -> set[str]:
        names = self.pipeline.names
        if only is not None:
            return {self.pipeline.stage(only).name}
        if start is not None:
            return set(names[names.index(self.pipeline.stage(start).name) :])
        return set(names)

    def _needed(self, selected: set[str]) -> list[Stage]:
        """The selected stages, and those whose tables they read."""
        read = {name for stage in selected for name in self.pipeline.after[stage]}
        return [stage for stage in self.pipeline.stages if stage.name in selected | read]

    def _stage(self, stage: Stage, selected: bool, force: bool) -> Commit:
        began = time.monotonic()
        if not selected:
            commit, newest = self._last(stage)
            if commit is None:
                raise ConfigError(
                    f"stage {stage.name} has not run yet, and the stages selected read its table "
                    f"{stage.writes}; run without --from or --only first"
                )
            self.follow(stage, commit, newest)
            self.emit({"event": "stage", "stage": stage.name, "status": "skipped"})
            return commit
        try:
            decision = self.decide(stage, force)
            if decision.last is not None and not decision.reason:
                self.follow(stage, decision.last, decision.newest)
                return self._up_to_date(stage, decision.last, began)
            self.emit(
                {
                    "event": "stage",
                    "stage": stage.name,
                    "status": "running",
                    "reason": decision.reason,
                }
            )
            log.info("stage %s runs: %s", stage.name, decision.reason)
            commit = self._execute(stage, decision, began)
            self.follow(stage, commit)
            return commit
        except BaseException as error:
            problem = coded(error)
            self.emit(
                {
                    "event": "stage",
                    "stage": stage.name,
                    "status": "failed",
                    "seconds": time.monotonic() - began,
                    "error": str(problem),
                }
            )
            self._pending.append(
                self._line(
                    ledger.FAILED,
                    stage=stage.name,
                    kind=stage.kind,
                    error=str(problem),
                    seconds=time.monotonic() - began,
                    table=stage.writes,
                )
            )
            if problem is error:
                raise
            raise problem from error

    def _up_to_date(self, stage: Stage, commit: Commit, began: float) -> Commit:
        line = ledger.line_of(
            commit,
            run_id=self.run_id,
            status=ledger.UP_TO_DATE,
            reason="",
            at=_now(),
            seconds=time.monotonic() - began,
        )
        self._pending.append(line)
        self.emit(_finished(stage, line, "up to date"))
        return commit

    def _execute(self, stage: Stage, decision: Decision, began: float) -> Commit:
        spark = self.lake.spark
        group = f"{self.run_id}/{stage.name}"
        spark.sparkContext.setJobGroup(
            group, f"{self.pipeline.name}: {stage.kind} {stage.name}", True
        )
        context = Context(
            spark=spark,
            lake=self.lake,
            stage=stage.name,
            run_id=self.run_id,
            fingerprint=decision.fingerprint,
            seed=self.pipeline.seed,
            date=self.pipeline.date,
            code_version=code_version(),
            base=self.pipeline.base,
            inputs={table: self._snapshot(stage, table) for table in self.pipeline.reads(stage)},
            commits={table: self._commits[table] for table in self.pipeline.reads(stage)},
            progress=lambda event: self.emit(
                {**event, "event": "progress", "stage": stage.name, "what": event.get("event", "")}
            ),
        )
        try:
            with translated(f"an input of stage {stage.name}"):
                result = stage.run(context)
                commit = self._commit(stage, decision, result, began)
        except KeyboardInterrupt:
            # Python has left the stage; Spark does not know it yet.
            spark.sparkContext.cancelJobGroup(group)
            raise
        finally:
            spark.sparkContext.setLocalProperty("spark.jobGroup.id", "")
        line = ledger.line_of(commit, seconds=time.monotonic() - began)
        if not _adds_up(line, result.accounted):
            raise AccountingError(
                f"stage {stage.name}: {line.rows_in} rows in, but {line.rows_out} kept, "
                f"{line.quarantined} quarantined and {line.removed} removed: {result.mismatch}"
            )
        self._known.add((self.run_id, stage.name))
        self._pending.append(line)
        if time.monotonic() - self._flushed > LEDGER_SECONDS:
            self._flush()
        self.emit(_finished(stage, line, "done"))
        return commit

    def _commit(self, stage: Stage, decision: Decision, result: Result, began: float) -> Commit:
        metadata = {
            "sparkmine": 1,
            "run_id": self.run_id,
            "pipeline": self.pipeline.name,
            "stage": stage.name,
            "kind": stage.kind,
            "table": stage.writes,
            "date": self.pipeline.date,
            "at": _now().isoformat(),
            "fingerprint": decision.fingerprint,
            "components": decision.parts,
            "config": decision.parts["config"],
            "after": self.pipeline.after[stage.name] if not stage.reads_all else (),
            "scope": stage.output.replace,
            "reason": decision.reason,
            "seconds": round(time.monotonic() - began, 3),
            "rows_in": result.rows_in,
            "quarantined": result.quarantined,
            "removed": result.removed,
            "accounted": result.accounted,
            "metrics": result.metrics,
            "sides": result.sides,
            "artifact": result.artifact,
        }
        return self.lake.table(stage.writes).write(
            result.frame,
            "replace_where" if stage.output.replace else "overwrite",
            partition_by=stage.output.partition_by,
            replace_where=stage.output.replace,
            metadata=metadata,
            application=f"{stage.name}:{decision.fingerprint}",
        )

    def _parts(self, stage: Stage) -> dict[str, Any]:
        versions = {table: self._version(stage, table) for table in self.pipeline.reads(stage)}
        return components(
            stage, versions=versions, base=self.pipeline.base, seed=self.pipeline.seed
        )

    def _version(self, stage: Stage, table: str) -> int:
        """The version of `table` that `stage` reads: the newest that its own stage wrote.

        A stage that reads only rows of its scope, from a table that is written in the same scope,
        depends on that scope's commit alone: other dates do not make it run again.
        """
        commit = self._commits[table]
        scope = (commit.metadata or {})["scope"]
        if stage.within_scope and scope is not None and stage.output.replace == scope:
            return commit.version
        return self._newest[table]

    def _snapshot(self, stage: Stage, table: str) -> Snapshot:
        """A table as `stage` reads it, looked up once a run."""
        key = table, self._version(stage, table)
        if key not in self._snapshots:
            self._snapshots[key] = self.lake.table(table).snapshot(key[1])
        return self._snapshots[key]

    def _last(self, stage: Stage) -> tuple[Commit, int] | tuple[None, None]:
        """The newest commit that can have written rows of a stage's scope, and its table's newest.

        Commits that the ledger lacks, because their run was killed, get their lines on the way.

        Raises:
            VersionError: somebody else wrote the table.
        """
        last, newest = None, None
        up_to_here = False
        for commit in self._own_commits(stage):
            data = commit.metadata or {}
            newest = commit.version if newest is None else newest
            up_to_here = up_to_here or (data["run_id"], stage.name) in self._known
            if not up_to_here:
                self._pending.append(ledger.line_of(commit))
                self._known.add((data["run_id"], stage.name))
            if last is None and not apart(data["scope"], stage.output.replace):
                last = commit
            if last is not None and up_to_here:
                break
        return (None, None) if last is None or newest is None else (last, newest)

    def _own_commits(self, stage: Stage) -> Iterator[Commit]:
        """The commits of a stage to its table that still count, newest first."""
        restored: int | None = None
        for commit in self.lake.table(stage.writes).commits():
            if restored is not None and commit.version > restored:
                continue
            data = commit.metadata or {}
            if data.get("sparkmine") == 1 and data.get("stage") == stage.name:
                yield commit
            elif commit.operation == "RESTORE" and commit.parameters.get("version") is not None:
                restored = int(commit.parameters["version"])
            elif commit.operation not in _MAINTENANCE:
                raise VersionError(
                    f"table {stage.writes}: version {commit.version} ({commit.operation}) was not "
                    f"written by stage {stage.name}; restore the table to the version before, or "
                    "move it away and run again"
                )

    def _line(self, status: str, **values: Any) -> ledger.Line:
        return ledger.Line(
            run_id=self.run_id,
            pipeline=self.pipeline.name,
            status=status,
            at=_now(),
            date=self.pipeline.date,
            code_version=code_version(),
            seed=self.pipeline.seed,
            **values,
        )

    def _note(self, status: str, seconds: float | None = None, error: str = "") -> None:
        self._pending.append(self._line(status, seconds=seconds, error=error))
        if status == ledger.STARTED:
            self._flush()

    def _flush(self) -> None:
        lines, self._pending = self._pending, []
        if lines:
            ledger.append(self.lake, lines)
            self._flushed = time.monotonic()


def coded(error: BaseException) -> BaseException:
    """The error as one of ours: errors of Python workers arrive as text inside Spark's."""
    if isinstance(error, SparkmineError) or not isinstance(error, Exception):
        return error
    found = _WORKER_ERROR.search(str(error))
    if found:
        kind = getattr(errors, found.group(1), None)
        if isinstance(kind, type) and issubclass(kind, SparkmineError):
            return kind(found.group(2))
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return InternalError(f"{type(error).__name__}: {first[:300]}")


def new_run_id() -> str:
    """Sorts by time; unique."""
    return f"{_now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _adds_up(line: ledger.Line, accounted: bool) -> bool:
    """True unless rows in = kept + quarantined + removed must hold and does not."""
    parts = (line.rows_out, line.quarantined, line.removed)
    if not accounted:
        return True
    if line.rows_in is None or line.removed is None or line.removed < 0:
        return False
    return line.rows_in == sum(part for part in parts if part is not None) and None not in parts


def apart(scope: str | None, other: str | None) -> bool:
    """True when no row can match both scopes: they want different constants in one column."""
    if scope is None or other is None or scope == other:
        return False
    left, right = _constants(parse(scope)), _constants(parse(other))
    return any(left[name] != right[name] for name in set(left) & set(right))


def _constants(condition: Expr) -> dict[str, object]:
    """Columns that the condition sets equal to a constant, by name."""
    match condition:
        case Logic("and", one, two):
            return {**_constants(one), **_constants(two)}
        case Compare("=", Column(name), Literal(value)) | Compare(
            "=", Literal(value), Column(name)
        ):
            return {name: value}
    return {}


def _finished(stage: Stage, line: ledger.Line, status: str) -> Event:
    return {
        "event": "stage",
        "stage": stage.name,
        "status": status,
        "rows_in": line.rows_in,
        "rows_out": line.rows_out,
        "quarantined": line.quarantined,
        "removed": line.removed,
        "seconds": line.seconds,
        "table": stage.writes,
        "version": line.version_written,
    }
