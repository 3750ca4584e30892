"""What the main commit of a stage says of it: the truth of a run, of which the ledger is a copy."""

from __future__ import annotations

import datetime
from typing import Any

from sparkmine.pipeline.config import Pipeline
from sparkmine.pipeline.decision import Decision
from sparkmine.stages import Context, Result, Stage


def record(
    pipeline: Pipeline,
    stage: Stage,
    decision: Decision,
    result: Result,
    context: Context,
    seconds: float,
) -> dict[str, Any]:
    """The commit's metadata, as JSON.

    `components` are what the fingerprint was made of; `read` are the versions that were read, which
    may hold the same rows as those that count for it, and `followed` the commits that they are of.
    `outdated` are the parts of the table that have to be made again because of this one; `refused`
    is the error with which the stage ended although it has committed.

    Args:
        seconds: That the stage took until now.
    """
    return {
        "sparkmine": 1,
        "run_id": context.run_id,
        "pipeline": pipeline.name,
        "stage": stage.name,
        "kind": stage.kind,
        "table": stage.writes,
        "date": pipeline.date,
        "at": datetime.datetime.now(datetime.UTC).isoformat(),
        "fingerprint": decision.fingerprint,
        "components": decision.parts,
        "read": {
            **{table: snapshot.version for table, snapshot in context.inputs.items()},
            **result.read,
        },
        "followed": {table: commit.version for table, commit in context.commits.items()},
        "base": str(pipeline.base.absolute()),
        "config": decision.parts["config"],
        "after": pipeline.after[stage.name] if not stage.reads_all else (),
        "scope": None if result.whole else stage.output.replace,
        "reason": decision.reason,
        "seconds": round(seconds, 3),
        "rows_in": result.rows_in,
        "quarantined": result.quarantined,
        "removed": result.removed,
        "accounted": result.accounted,
        "metrics": result.metrics,
        "sides": result.sides,
        "outdated": result.outdated,
        "artifact": result.artifact,
        "refused": None if result.refused is None else str(result.refused),
    }
