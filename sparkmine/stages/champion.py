"""champion: the model that is in use, until one beats the baseline and takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa

from sparkmine.lake import Lake, Snapshot
from sparkmine.stages.base import Context, Result, Stage, TableName

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = pa.schema(
    [
        ("version", pa.int64()),
        ("model", pa.string()),
        ("folder", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("data", pa.string()),
        ("date", pa.string()),
        ("why", pa.string()),
    ]
)


class Champion(Stage):
    """Keep the versions of the model in use: the last row of `table` is the champion.

    The best model of `evaluation` becomes the champion if it passes: with `gate: baseline` when it
    beats the best baseline with 95 % confidence, with `gate: none` always. Otherwise the champion
    stays, and the report says why. `sparkmine champion TABLE --roll-back VERSION|MODEL` takes an
    earlier one back.
    """

    kind: ClassVar[str] = "champion"
    stage: Literal["champion"]
    evaluation: TableName
    gate: Literal["baseline", "none"] = "baseline"
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"evaluation": self.evaluation}

    def earlier(self, lake: Lake) -> Snapshot | None:
        """The champions so far."""
        table = lake.table(self.table)
        return table.snapshot() if table.exists() else None

    def run(self, context: Context) -> Result:
        found = (context.commits[self.evaluation].metadata or {})["metrics"]
        before = context.inputs.get(self.table)
        rows = [] if before is None else champions(before, context.spark)
        passes = self.gate == "none" or found["outcome"] == "beats"
        same = bool(rows) and rows[-1]["folder"] == found["champion"]
        if passes and not same:
            rows.append(
                {
                    "version": len(rows) + 1,
                    "model": found["best"],
                    "folder": found["champion"],
                    **{key: found["measured"][key] for key in ("metric", "value", "low", "high")},
                    "data": found["data"],
                    "date": context.date,
                    "why": found["verdict"],
                }
            )
        return Result(
            frame=context.spark.createDataFrame(pa.Table.from_pylist(rows, SCHEMA)),
            metrics=metrics_of(rows, promoted=passes and not same, verdict=found["verdict"]),
        )


def champions(snapshot: Snapshot, spark: SparkSession) -> list[dict[str, Any]]:
    """The versions of a champion, the oldest first."""
    rows = snapshot.dataframe(spark).toArrow().to_pylist()
    return sorted(rows, key=lambda row: row["version"])


def metrics_of(rows: list[dict[str, Any]], *, promoted: bool, verdict: str) -> dict[str, Any]:
    """What a commit says of the champion, for `predict` and the report; None without one."""
    last = rows[-1] if rows else None
    return {
        "best": last and last["model"],
        "champion": last and last["folder"],
        "version": last and last["version"],
        "why": last and last["why"],
        "promoted": promoted,
        "evaluation": verdict,
    }
