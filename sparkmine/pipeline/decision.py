"""Whether a stage must run: from the commits of its table and the versions of its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sparkmine.errors import VersionError
from sparkmine.expr import equalities, parse
from sparkmine.lake import Lake, Snapshot, ledger
from sparkmine.lake.log import Commit, standing
from sparkmine.pipeline.book import Book
from sparkmine.pipeline.config import Pipeline
from sparkmine.pipeline.fingerprint import components, difference, fingerprint
from sparkmine.stages import Stage
from sparkmine.stages.base import artifact_folder


@dataclass(frozen=True)
class Decision:
    """What to do with a stage.

    Attributes:
        last: Its newest commit in its scope, if it has one.
        newest: The newest version of its table that it wrote, in any scope.
        current: The table's version at the decision, -1 for no table.
        reason: Why it must run, in one line; empty when `last` holds its result already.
    """

    last: Commit | None
    newest: int | None
    current: int
    reason: str
    parts: Mapping[str, Any]
    fingerprint: str


class Decisions:
    """Decides about the stages of one run, in their order.

    Args:
        book: Gets the commits of runs that were killed before they noted them.
    """

    def __init__(self, pipeline: Pipeline, lake: Lake, book: Book) -> None:
        self._pipeline = pipeline
        self._lake = lake
        self._book = book
        self._commits: dict[str, Commit] = {}
        self._newest: dict[str, int] = {}
        self._current: dict[str, int] = {}
        self._snapshots: dict[str, Snapshot] = {}

    def decide(self, stage: Stage, force: bool = False) -> Decision:
        """Whether a stage must run, given the versions of its inputs."""
        versions = {table: self._version(stage, table) for table in self._tables(stage)}
        base, seed = self._pipeline.base, self._pipeline.seed
        parts = components(stage, versions=versions, base=base, seed=seed)
        print_ = fingerprint(parts)
        last, newest = self.last(stage)
        reason = ""
        if last is None:
            reason = "it has not run yet"
        else:
            data = last.metadata or {}
            if data["fingerprint"] != print_:
                reason = difference(data["components"], parts)
            elif data["artifact"] and not artifact_folder(self._lake, stage.name, print_).is_dir():
                reason = "its files are gone"
            elif data.get("refused"):
                reason = "its result was refused"
            elif not adds_up(ledger.line_of(last), data["accounted"]):
                reason = "its rows did not add up"
            elif stage.always:
                reason = stage.always
            elif outdated := self._outdated(stage, last, newest):
                reason = outdated
            elif force:
                reason = "forced"
        current = self._current.get(stage.writes, -1)
        return Decision(last, newest, current, reason, parts, print_)

    def follow(self, stage: Stage, commit: Commit, newest: int | None = None) -> None:
        """Take a stage's commit as the input of those after it.

        Args:
            newest: The newest version that the stage wrote, if that is not this commit's.
        """
        self._commits[stage.writes] = commit
        self._newest[stage.writes] = commit.version if newest is None else newest
        if newest is None:
            self._current[stage.writes] = commit.version

    def inputs(self, stage: Stage) -> tuple[dict[str, Snapshot], dict[str, Commit]]:
        """The tables that a stage reads, and the commits that are followed of them."""
        tables = self._tables(stage)
        snapshots = {table: self._snapshot(table) for table in tables}
        return snapshots, {table: self._commits[table] for table in tables}

    def last(self, stage: Stage) -> tuple[Commit, int] | tuple[None, None]:
        """The newest commit that can have written rows of a stage's scope, and its table's newest.

        Raises:
            VersionError: somebody else wrote the table.
        """
        last, newest = None, None
        up_to_here = False
        for commit in self._own_commits(stage):
            scope = (commit.metadata or {})["scope"]
            newest = commit.version if newest is None else newest
            up_to_here = up_to_here or not self._book.recover(commit)
            if last is None and not apart(scope, stage.output.replace):
                last = commit
            if last is not None and up_to_here:
                break
        return (None, None) if last is None or newest is None else (last, newest)

    def _tables(self, stage: Stage) -> list[str]:
        """The tables that a stage reads; of all, those that are there in a run that was ended."""
        tables = self._pipeline.reads(stage)
        return [table for table in tables if table in self._commits or not stage.reads_all]

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

    def _snapshot(self, table: str) -> Snapshot:
        """A table as its own stages and maintenance have left it, looked up once a run.

        That is newer than the version that counts where the table was compacted, or where other
        scopes were written, and holds the same rows for this stage: a version that was compacted
        away can be read for the table's retention only.
        """
        if table not in self._snapshots:
            self._snapshots[table] = self._lake.table(table).snapshot(self._current[table])
        return self._snapshots[table]

    def _own_commits(self, stage: Stage) -> Iterator[Commit]:
        """The commits of a stage to its table that still count, newest first."""
        for commit in standing(self._seen(stage.writes)):
            data = commit.metadata or {}
            if data.get("sparkmine") != 1 or data.get("stage") != stage.name:
                raise VersionError(
                    f"table {stage.writes}: version {commit.version} ({commit.operation}) was not "
                    f"written by stage {stage.name}; restore the table to the version before, or "
                    "move it away and run again"
                )
            yield commit

    def _seen(self, table: str) -> Iterator[Commit]:
        """All commits of a table, whose newest version is noted."""
        for commit in self._lake.table(table).commits():
            self._current[table] = max(commit.version, self._current.get(table, -1))
            yield commit

    def _outdated(self, stage: Stage, last: Commit, newest: int | None) -> str:
        """Why a newer result of another scope makes that of this one wrong; empty if none does."""
        if newest is None or newest == last.version:
            return ""
        for commit in self._own_commits(stage):
            if commit.version <= last.version:
                break
            data = commit.metadata or {}
            if stage.part in data.get("outdated", ()):
                return f"rows that survived instead of its own went when {data['scope']} ran again"
        return ""


def adds_up(line: ledger.Line, accounted: bool) -> bool:
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
    left, right = equalities(parse(scope)), equalities(parse(other))
    return any(left[name] != right[name] for name in set(left) & set(right))
