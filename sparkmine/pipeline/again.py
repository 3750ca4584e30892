"""Send the quarantined rows of a stage's newest result through the stage again."""

from __future__ import annotations

import datetime
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.clean import again
from sparkmine.errors import AccountingError, ConfigError
from sparkmine.lake import ledger
from sparkmine.lake.log import Commit
from sparkmine.stages import Stage

if TYPE_CHECKING:
    from sparkmine.pipeline.runner import Runner

REASON = "rows of its quarantine were sent again"


@dataclass(frozen=True)
class Sent:
    """What became of the quarantined rows; `version` is None when the table got none."""

    rows: int
    released: int
    removed: int
    kept: int
    table: str
    version: int | None


def stage_of(runner: Runner, name: str) -> Stage:
    """The stage that writes the table `name`, or the quarantine `name`.

    Raises:
        ConfigError: no stage of the pipeline does, or it has no quarantine.
    """
    for stage in runner.pipeline.stages:
        if name in (stage.writes, *stage.sides) and stage.sides:
            return stage
    tables = [stage.writes for stage in runner.pipeline.stages if stage.sides]
    raise ConfigError(f"no stage has a quarantine of table {name!r}; these have: {tables}")


def send_again(runner: Runner, stage: Stage) -> Sent:
    """Do it, under the pipeline's lock; see `clean.again` for what happens if it is killed.

    Raises:
        ConfigError: the stage, or one before it, has not run yet.
        AccountingError: the table got another number of rows than passed.
    """
    began = time.monotonic()
    last = _follow(runner, stage)
    data = last.metadata or {}
    print_ = data["fingerprint"]
    table, side = runner.lake.table(stage.writes), runner.lake.table(stage.sides[0])
    rows = again.rows_of(side, print_)
    gone = _committed(runner, stage, again.tokens(rows))
    waiting = again.remaining(rows, gone)
    token = uuid.uuid4().hex
    context = runner.context(stage, print_)
    # As in the run itself: other parts of the table have keys of their own.
    newest, scope = table.snapshot(), data["scope"]
    beside = (newest.where(scope) if scope else newest).dataframe(runner.lake.spark)
    marked = again.mark(side, print_, stage.again(context, waiting, beside), token)
    total = marked.released + marked.removed + marked.kept
    version: int | None = None
    if marked.released:
        passed = stage.again(context, again.released(side, print_, token), None)
        metadata: dict[str, Any] = {
            **data,
            "run_id": runner.run_id,
            "at": datetime.datetime.now(datetime.UTC).isoformat(),
            "reason": REASON,
            "seconds": round(time.monotonic() - began, 3),
            "rows_in": total,
            "quarantined": marked.kept,
            "removed": marked.removed,
            "metrics": {**data["metrics"], "reasons": marked.reasons},
            "sides": {side.name: marked.version},
            "again": token,
            "whole": asdict(_whole(ledger.accounts_of(last), total, marked)),
        }
        commit = table.write(
            passed.select(f"{again.ROW}.*"),
            "append",
            metadata=metadata,
            application=f"{stage.name}:again:{token}",
        )
        if commit.rows != marked.released:
            raise AccountingError(
                f"stage {stage.name}: {marked.released} rows of {side.name} passed, and "
                f"{stage.writes} got {commit.rows}; restore it to version {last.version}"
            )
        version = commit.version
        runner.book.add(ledger.line_of(commit, seconds=time.monotonic() - began))
    if marked.released or marked.removed:
        again.remove(side, print_, [token])
    return Sent(total, marked.released, marked.removed, marked.kept, stage.writes, version)


def _whole(before: ledger.Accounts, total: int, marked: again.Marked) -> ledger.Accounts:
    """The table's accounts with the rows that pass now; `total` rows were in its quarantine."""
    # What left the quarantine without a commit of this table: dropped earlier, when no row passed,
    # or deleted by hand.
    gone = max((before.quarantined or 0) - total, 0)
    kept = (before.kept or 0) + marked.released
    removed = (before.removed or 0) + marked.removed + gone
    return ledger.Accounts(
        # As before, unless rows were put into the quarantine by hand.
        rows_in=kept + marked.kept + removed,
        kept=kept,
        quarantined=marked.kept,
        removed=removed,
        sent_again=before.sent_again + marked.released,
    )


def _follow(runner: Runner, stage: Stage) -> Commit:
    """Take the newest results of the stages that `stage` reads; its own newest commit."""
    for name in (*runner.pipeline.after[stage.name], stage.name):
        one = runner.pipeline.stage(name)
        last, newest = runner.decisions.last(one)
        if last is None:
            raise ConfigError(f"stage {name} has not run yet; run the pipeline first")
        runner.decisions.follow(one, last, newest)
    assert last is not None
    return last


def _committed(runner: Runner, stage: Stage, wanted: set[str]) -> set[str]:
    """Those of the tokens whose rows the stage's table has."""
    found: set[str] = set()
    for commit in runner.lake.table(stage.writes).commits() if wanted else ():
        found.add((commit.metadata or {}).get("again", ""))
        if wanted <= found:
            break
    return wanted & found
