"""champion: the model that is in use, until one passes the gate and takes its place."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa

from sparkmine.lake import Lake, Snapshot
from sparkmine.stages.base import Context, Result, Stage, TableName
from sparkmine.stages.challenge import challenged
from sparkmine.stages.evaluate import load_evaluation

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_METRIC = pa.struct(
    [("name", pa.string()), *((end, pa.float64()) for end in ("value", "low", "high"))]
)
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
        ("metrics", pa.list_(_METRIC)),
        ("learnt", pa.list_(pa.string())),  # conditions of the rows of `data` that it has seen
    ]
)


class Champion(Stage):
    """Keep the versions of the model in use: the last row of `table` is the champion.

    The best model of `evaluation` becomes the champion if it passes: with `gate: baseline` when it
    beats the best baseline with 95 % confidence and is not worse than the champion, with as much
    confidence, on the same rows; with `gate: none` always. Otherwise the champion stays, and the
    report says why. `sparkmine champion TABLE --roll-back VERSION|MODEL` takes an earlier one back.
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
        challenge = ""
        same = bool(rows) and rows[-1]["folder"] == found["champion"]
        passes = (self.gate == "none" or found["outcome"] == "beats") and not same
        if passes and rows and self.gate != "none":
            better, challenge = challenged(context, self.evaluation, found["best"], rows[-1])
            passes = not better
        if passes:
            evaluation = load_evaluation(context.artifact_of(self.evaluation))
            rows.append(
                {
                    "version": len(rows) + 1,
                    "model": found["best"],
                    "folder": found["champion"],
                    **{key: found["measured"][key] for key in ("metric", "value", "low", "high")},
                    "data": found["data"],
                    "learnt": found.get("learnt"),
                    "date": context.date,
                    "why": f"{found['verdict']} {challenge}".strip(),
                    "metrics": [
                        {"name": name, **asdict(interval)}
                        for name, interval in evaluation.model(found["best"]).metrics.items()
                    ],
                }
            )
        return Result(
            frame=context.spark.createDataFrame(pa.Table.from_pylist(rows, SCHEMA)),
            metrics=metrics_of(
                rows, promoted=passes, verdict=found["verdict"], challenge=challenge
            ),
        )


def champions(snapshot: Snapshot, spark: SparkSession) -> list[dict[str, Any]]:
    """The versions of a champion, the oldest first."""
    rows = snapshot.dataframe(spark).toArrow().to_pylist()
    return sorted(rows, key=lambda row: row["version"])


def metrics_of(
    rows: list[dict[str, Any]], *, promoted: bool, verdict: str, challenge: str = ""
) -> dict[str, Any]:
    """What a commit says of the champion, for `predict` and the report; None without one.

    Args:
        challenge: How the best model compares with the champion before; empty if it was not asked.
    """
    last = rows[-1] if rows else None
    return {
        "best": last and last["model"],
        "champion": last and last["folder"],
        "version": last and last["version"],
        "why": last and last["why"],
        "promoted": promoted,
        "evaluation": verdict,
        "challenge": challenge,
    }
