"""What one run writes into the ledger."""

from __future__ import annotations

import datetime
import time
from typing import Any

from sparkmine.lake import Lake, ledger
from sparkmine.lake.log import Commit
from sparkmine.pipeline.config import Pipeline
from sparkmine.pipeline.fingerprint import code_version

# A commit to the ledger costs up to a second, which short stages should not pay one by one. What
# a killed run did not write, the next one takes from the stages' own commits.
LEDGER_SECONDS = 60.0


class Book:
    """The lines of one run, written together once in a while."""

    def __init__(self, pipeline: Pipeline, lake: Lake, run_id: str) -> None:
        self._pipeline = pipeline
        self._lake = lake
        self._run_id = run_id
        self._known: set[tuple[str, str]] = set()
        self._pending: list[ledger.Line] = []
        self._flushed = time.monotonic()

    def open(self) -> None:
        """Read which runs of which stages have their lines, and note the start."""
        self._known = {
            (row["run_id"], row["stage"])
            for row in ledger.read(self._lake)
            if ledger.is_of_commit(row)
        }
        self.note(ledger.STARTED)
        self.flush()

    def recover(self, commit: Commit) -> bool:
        """Note the commit of a stage whose run was killed before it could; False if it is known."""
        data = commit.metadata or {}
        key = data["run_id"], data["stage"]
        if key in self._known:
            return False
        self._known.add(key)
        self._pending.append(ledger.line_of(commit))
        return True

    def add(self, line: ledger.Line) -> None:
        """Note a line of this run."""
        if line.stage and line.status in (ledger.SUCCEEDED, ledger.FAILED):
            self._known.add((self._run_id, line.stage))
        self._pending.append(line)
        if time.monotonic() - self._flushed > LEDGER_SECONDS:
            self.flush()

    def note(self, status: str, **values: Any) -> None:
        """Note a line that no commit tells: of the run itself, or of a stage that failed."""
        self._pending.append(
            ledger.Line(
                run_id=self._run_id,
                pipeline=self._pipeline.name,
                status=status,
                at=datetime.datetime.now(datetime.UTC),
                date=self._pipeline.date,
                code_version=code_version(),
                seed=self._pipeline.seed,
                **values,
            )
        )

    def flush(self) -> None:
        """Write what is pending, in one commit."""
        lines = list(self._pending)
        if lines:
            ledger.append(self._lake, lines)
            del self._pending[: len(lines)]
            self._flushed = time.monotonic()
