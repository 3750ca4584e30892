"""Run a pipeline: pin inputs, skip what is up to date, commit each stage once, keep the ledger."""

from __future__ import annotations

import datetime
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sparkmine.errors import AccountingError, ConfigError, SparkmineError
from sparkmine.lake import Lake, ledger
from sparkmine.lake.failures import translated
from sparkmine.lake.log import Commit
from sparkmine.pipeline.again import Sent, send_again, stage_of
from sparkmine.pipeline.book import Book
from sparkmine.pipeline.columns import check_columns
from sparkmine.pipeline.config import Pipeline
from sparkmine.pipeline.decision import Decision, Decisions, adds_up
from sparkmine.pipeline.failures import coded, of_stage
from sparkmine.pipeline.fingerprint import code_version
from sparkmine.pipeline.record import record
from sparkmine.sessions import reconnect
from sparkmine.stages import Context, Result, Stage

log = logging.getLogger(__name__)

Event = Mapping[str, Any]
Emit = Callable[[Event], None]


class Runner:
    """One run of one pipeline."""

    def __init__(
        self, pipeline: Pipeline, lake: Lake, emit: Emit, run_id: str | None = None
    ) -> None:
        self.pipeline = pipeline
        self.lake = lake
        self.emit = emit
        self.run_id = run_id or new_run_id()
        self.book = Book(pipeline, lake, self.run_id)
        self.decisions = Decisions(pipeline, lake, self.book)
        self._refused: SparkmineError | None = None

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
            self.book.open()
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
                    if stage.name not in selected:
                        found[stage.name] = self._left(stage, selected)
                    else:
                        found[stage.name] = self._stage(stage, force)
            except BaseException as error:
                if error is self._refused:
                    self._report(selected)
                seconds = time.monotonic() - began
                self.book.note(ledger.FAILED, seconds=seconds, error=str(coded(error)))
                try:
                    if isinstance(error, KeyboardInterrupt):
                        reconnect(self.lake.spark)
                    self.book.flush()
                except Exception:
                    # What ended the run is what its user must see.
                    log.exception("the ledger could not be written")
                raise
            self.book.note(ledger.SUCCEEDED, seconds=time.monotonic() - began)
            self.book.flush()
        self.emit({"event": "end", "seconds": time.monotonic() - began})
        return found

    def again(self, name: str) -> Sent:
        """Send the quarantined rows of a table through its stage again (`pipeline.again`).

        Args:
            name: A table that a stage with a quarantine writes, or that quarantine.
        """
        stage = stage_of(self, name)
        what = f"pipeline {self.pipeline.name} in {self.lake.root}"
        began = time.monotonic()
        with self.lake.locked(f"pipeline-{self.pipeline.name}", what, wait=0.0):
            self.book.open()
            sent = send_again(self, stage)
            self.book.note(ledger.SUCCEEDED, seconds=time.monotonic() - began)
            self.book.flush()
        return sent

    def context(self, stage: Stage, fingerprint: str) -> Context:
        """What a stage may use, once the stages that it reads are followed."""
        snapshots, commits = self.decisions.inputs(stage)
        earlier = stage.earlier(self.lake)
        if earlier is not None:
            snapshots[stage.writes] = earlier
        return Context(
            spark=self.lake.spark,
            lake=self.lake,
            stage=stage.name,
            run_id=self.run_id,
            fingerprint=fingerprint,
            seed=self.pipeline.seed,
            date=self.pipeline.date,
            code_version=code_version(),
            base=self.pipeline.base,
            inputs=snapshots,
            commits=commits,
            progress=lambda event: self.emit(
                {**event, "event": "progress", "stage": stage.name, "what": event.get("event", "")}
            ),
        )

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

    def _report(self, selected: set[str]) -> None:
        """After a refusal, run the selected stages that read everything, with what is there."""
        for stage in self.pipeline.stages:
            if stage.reads_all and stage.name in selected:
                try:
                    self._stage(stage, False)
                except Exception:
                    # The refusal is what ended the run, and what its user must see.
                    log.exception("stage %s failed after the refusal", stage.name)

    def _left(self, stage: Stage, selected: set[str]) -> Commit:
        """Follow a stage that is not selected, as its last run has left it."""
        commit, newest = self.decisions.last(stage)
        if commit is None:
            raise ConfigError(
                f"stage {stage.name} has not run yet, and the stages selected read its table "
                f"{stage.writes}; run without --from or --only first"
            )
        refused = (commit.metadata or {}).get("refused")
        readers = [
            name
            for name in selected
            if stage.name in self.pipeline.after[name] and not self.pipeline.stage(name).reads_all
        ]
        if refused and readers:
            raise ConfigError(
                f"stage {min(readers)} reads {stage.writes}, whose last result was refused "
                f"({refused}); run from stage {stage.name} on"
            )
        self.decisions.follow(stage, commit, newest)
        self.emit({"event": "stage", "stage": stage.name, "status": "skipped"})
        return commit

    def _stage(self, stage: Stage, force: bool) -> Commit:
        began = time.monotonic()
        try:
            decision = self.decisions.decide(stage, force)
            if decision.last is not None and not decision.reason:
                self.decisions.follow(stage, decision.last, decision.newest)
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
            self.decisions.follow(stage, commit)
            return commit
        except BaseException as error:
            problem = of_stage(error, stage.name)
            self.emit(
                {
                    "event": "stage",
                    "stage": stage.name,
                    "status": "failed",
                    "seconds": time.monotonic() - began,
                    "error": str(problem),
                }
            )
            if problem is not self._refused:  # which has its line, with what it committed
                self.book.note(
                    ledger.FAILED,
                    stage=stage.name,
                    kind=stage.kind,
                    error=str(problem),
                    seconds=time.monotonic() - began,
                    table=stage.writes,
                )
            if problem is error:
                raise
            raise problem from error

    def _up_to_date(self, stage: Stage, commit: Commit, began: float) -> Commit:
        accounts = ledger.accounts_of(commit)
        line = ledger.line_of(
            commit,
            run_id=self.run_id,
            status=ledger.UP_TO_DATE,
            reason="",
            at=_now(),
            seconds=time.monotonic() - began,
            rows_in=accounts.rows_in,
            rows_out=accounts.kept,
            quarantined=accounts.quarantined,
            removed=accounts.removed,
        )
        self.book.add(line)
        self.emit(_finished(stage, line, "up to date"))
        return commit

    def _execute(self, stage: Stage, decision: Decision, began: float) -> Commit:
        spark = self.lake.spark
        group = f"{self.run_id}/{stage.name}"
        spark.sparkContext.setJobGroup(
            group, f"{self.pipeline.name}: {stage.kind} {stage.name}", True
        )
        context = self.context(stage, decision.fingerprint)
        try:
            with translated(f"an input of stage {stage.name}"):
                check_columns(stage, context.inputs)
                result = stage.run(context)
                commit = self._commit(stage, decision, result, context, began)
        except KeyboardInterrupt:
            # Python has left the stage; Spark does not know it yet.
            reconnect(spark)
            spark.sparkContext.cancelJobGroup(group)
            raise
        finally:
            spark.sparkContext.setLocalProperty("spark.jobGroup.id", "")
        if (commit.metadata or {})["run_id"] != self.run_id and result.refused is None:
            return self._up_to_date(stage, commit, began)  # another run did it in the meantime
        line = ledger.line_of(commit, run_id=self.run_id, seconds=time.monotonic() - began)
        if not adds_up(line, result.accounted):
            raise AccountingError(
                f"stage {stage.name}: {line.rows_in} rows in, but {line.rows_out} kept, "
                f"{line.quarantined} quarantined and {line.removed} removed: {result.mismatch}"
            )
        self.book.add(line)
        if result.refused is not None:
            self.decisions.follow(stage, commit)
            self._refused = result.refused
            raise result.refused
        self.emit(_finished(stage, line, "done"))
        return commit

    def _commit(
        self, stage: Stage, decision: Decision, result: Result, context: Context, began: float
    ) -> Commit:
        seconds = time.monotonic() - began
        metadata = record(self.pipeline, stage, decision, result, context, seconds)
        scope = metadata["scope"]
        try:
            return self.lake.table(stage.writes).write(
                result.frame,
                "replace_where" if scope else "overwrite",
                partition_by=stage.output.partition_by,
                replace_where=scope,
                metadata=metadata,
                application=f"{stage.name}:{decision.fingerprint}",
                since=decision.current,
            )
        finally:
            result.release()


def new_run_id() -> str:
    """Sorts by time; unique."""
    return f"{_now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


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
