"""evaluate: all models beside the baselines on rows that none has learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate import METRICS, Evaluation, Interval, evaluate_models, measure
from sparkmine.evaluate.metrics import better
from sparkmine.stages.base import Condition, Context, Result, Stage, TableName
from sparkmine.stages.scored import check_joined, joined_scores

FILE = "evaluation.json"


class Evaluate(Stage):
    """Measure models on the rows where `where` is true.

    The best model is chosen on the rows of `choose_on` by `metric`, so that the figures on
    `where` are of a choice made beforehand. Intervals come from a bootstrap over `group`.
    """

    kind: ClassVar[str] = "evaluate"
    stage: Literal["evaluate"]
    models: Mapping[str, TableName] = Field(min_length=1)
    baselines: Mapping[str, TableName] = {}
    where: Condition
    choose_on: Condition | None = None
    label: str
    group: str
    group_name: str = "groups"
    classes: tuple[str, str] = Field(default=("0", "1"), strict=False)
    metric: str = "roc_auc"
    samples: int = Field(default=500, ge=10)
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {
            **{f"models.{name}": table for name, table in self.models.items()},
            **{f"baselines.{name}": table for name, table in self.baselines.items()},
        }

    def check(self, base: Path) -> None:
        both = sorted(set(self.models) & set(self.baselines))
        if both:
            raise ConfigError(f"stage {self.name}: {both[0]!r} is both a model and a baseline")
        if self.metric not in METRICS:
            raise ConfigError(
                f"stage {self.name}: metric {self.metric!r}; there are {', '.join(METRICS)}"
            )

    def run(self, context: Context) -> Result:
        tables = {**self.baselines, **self.models}
        chosen = self._chosen(context) if self.choose_on else None
        scores = self._scores(context, tables, self.where)
        evaluation = evaluate_models(
            scores[self.label],
            scores[self.group],
            {name: scores[name] for name in tables},
            list(self.baselines),
            metric=self.metric,
            samples=self.samples,
            seed=context.seed,
            chosen=chosen,
            ensembles=self._ensembles(context),
            group_name=self.group_name,
            classes=self.classes,
        )
        folder = context.artifact()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(evaluation.to_json()))
        best = self.models[evaluation.best]
        champion = context.artifact_of(best)
        return Result(
            frame=context.spark.createDataFrame(_rows(evaluation)),
            rows_in=evaluation.rows,
            metrics={
                "best": evaluation.best,
                "champion": str(champion.relative_to(context.lake.root)),
                "verdict": evaluation.verdict,
                "outcome": evaluation.outcome,
            },
            artifact=True,
        )

    def _scores(self, context: Context, tables: Mapping[str, str], where: str) -> dict[str, Any]:
        keys = [self.group, self.label]
        frames = self._aligned(context, tables, where)
        table = frames.toArrow()
        if not table.num_rows:
            raise DataError(f"stage {self.name}: no row of the models' scores has {where}")
        check_joined(context, tables, table.num_rows, where)
        return {name: table.column(name).to_numpy() for name in [*keys, *tables]}

    def _aligned(self, context: Context, tables: Mapping[str, str], where: str) -> Any:
        first = context.inputs[next(iter(tables.values()))]
        keys = [name for name in first.schema.names if name != "prediction"]
        return joined_scores(context, tables, keys, where)

    def _chosen(self, context: Context) -> str:
        assert self.choose_on is not None
        scores = self._scores(context, self.models, self.choose_on)
        labels = scores[self.label]
        values = {name: measure(labels, scores[name])[self.metric] for name in self.models}
        best = next(iter(values))
        for name in values:
            if better(self.metric, values[name], values[best]):
                best = name
        return best

    def _ensembles(self, context: Context) -> dict[str, list[str]]:
        """Ensembles among the models, with those members that are measured beside them."""
        found = {}
        for name, table in self.models.items():
            metadata = context.commits[table].metadata or {}
            members = (metadata.get("metrics") or {}).get("members", [])
            measured = [member for member in members if member in self.models]
            if measured:
                found[name] = measured
        return found


def load_evaluation(folder: Path) -> Evaluation:
    """The evaluation that a stage left in its artifact folder."""
    return Evaluation.from_json(json.loads((folder / FILE).read_text()))


def _rows(evaluation: Evaluation) -> pa.Table:
    rows: list[tuple[str, bool, str, Interval]] = [
        (model.name, model.baseline, metric, interval)
        for model in evaluation.models
        for metric, interval in model.metrics.items()
    ]
    return pa.table(
        {
            "model": pa.array([row[0] for row in rows]),
            "baseline": pa.array([row[1] for row in rows]),
            "metric": pa.array([row[2] for row in rows]),
            "value": pa.array([row[3].value for row in rows], pa.float64()),
            "low": pa.array([row[3].low for row in rows], pa.float64()),
            "high": pa.array([row[3].high for row in rows], pa.float64()),
        }
    )
