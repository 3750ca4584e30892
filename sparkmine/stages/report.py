"""report: one HTML file over everything that the other stages committed."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Literal

import pyarrow as pa

from sparkmine.evaluate.report import ReportData, RunInfo, StageInfo, render
from sparkmine.lake import ledger
from sparkmine.lake.log import Commit
from sparkmine.stages.base import Context, Result, Stage, TableName
from sparkmine.stages.reported import parts

FILE = "report.html"


class Report(Stage):
    """Write `report.html`, self-contained, from the commits of all other stages."""

    kind: ClassVar[str] = "report"
    stage: Literal["report"]
    title: str
    question: str = ""
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {}

    @property
    def reads_all(self) -> bool:
        return True

    def run(self, context: Context) -> Result:
        folder = context.artifact()
        folder.mkdir(parents=True, exist_ok=True)
        file = render(self._data(context), folder / FILE)
        content = file.read_bytes()
        row = {
            "run_id": [context.run_id],
            "file": [str(file.relative_to(context.target.root))],
            "bytes": [len(content)],
            "sha256": [hashlib.sha256(content).hexdigest()],
        }
        return Result(
            frame=context.spark.createDataFrame(pa.table(row)),
            metrics={"file": str(file.relative_to(context.target.root))},
            artifact=True,
        )

    def _data(self, context: Context) -> ReportData:
        stages = [(commit.metadata or {}, commit) for commit in context.commits.values()]
        return ReportData(
            title=self.title,
            question=self.question,
            run=RunInfo(
                run_id=context.run_id,
                date=context.date,
                code_version=context.code_version,
                seed=context.seed,
            ),
            stages=tuple(_info(data, commit, context) for data, commit in stages),
            **parts(context),
        )


def _status(data: dict[str, Any], context: Context) -> str:
    if data.get("refused"):
        return "failed"
    return "done" if data["run_id"] == context.run_id else "up to date"


def _info(data: dict[str, Any], commit: Commit, context: Context) -> StageInfo:
    accounts = ledger.accounts_of(commit)
    return StageInfo(
        name=data["stage"],
        kind=data["kind"],
        status=_status(data, context),
        rows_in=accounts.rows_in,
        rows_out=accounts.kept,
        quarantined=accounts.quarantined,
        removed=accounts.removed,
        seconds=ledger.seconds_of(commit),
        table=data["table"],
        version=commit.version,
        inputs=tuple(data["after"]),
        note=data.get("refused") or data["reason"],
    )
