"""evaluate: all models beside the baselines on rows that none has learned from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from sparkmine.errors import BaselineNotBeatenError, ConfigError, DataError
from sparkmine.evaluate import TASKS, Evaluation, Interval, evaluate_table, measure_table
from sparkmine.evaluate.metrics import better
from sparkmine.model import DECISION, SCORES, Task
from sparkmine.stages.base import Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.judged import judged_decisions
from sparkmine.stages.learnt import check_unseen, counted, learnt
from sparkmine.stages.needs import Need, asked, named
from sparkmine.stages.scored import check_joined, joined_scores

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FILE = "evaluation.json"


class Evaluate(Stage):
    """Measure models on the rows where `where` is true, which none of them may have learnt from.

    The best model is chosen on the rows of `choose_on` by `metric`, so that the figures on
    `where` are of a choice made beforehand. Intervals come from a bootstrap over `group`.

    Attributes:
        metric: The metric by which models are compared; the task's when left out.
        classes: What the labels are called: of 0 and 1, or of all classes in order.
        segments: Columns of `segments_from`, joined by the keys of the scores, by whose values the
            best model is measured, too.
        must_beat_baseline: Fail unless the best model beats the best baseline with 95 % confidence,
            corrected for the number of models where `choose_on` is left out; the figures are
            committed and reported, and no stage after this one runs.
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
    task: Task = "binary"
    classes: tuple[str, ...] | None = Field(default=None, strict=False)
    metric: str | None = None
    threshold: float = Field(default=0.5, ge=0.0, le=1.0, strict=False)
    samples: int = Field(default=500, ge=10)
    segments: Names = Field(default=[])
    segments_from: TableName | None = None
    must_beat_baseline: bool = False
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {
            **{f"models.{name}": table for name, table in self.models.items()},
            **{f"baselines.{name}": table for name, table in self.baselines.items()},
            **({"segments_from": self.segments_from} if self.segments_from else {}),
        }

    @property
    def needs(self) -> Iterable[Need]:
        for key, table in self.reads.items():
            if key == "segments_from":
                yield named("segments", table, *self.segments)
                continue
            yield named(key, table, SCORES[0])
            yield named("label", table, self.label)
            yield named("group", table, self.group)
            yield asked("where", table, self.where)
            yield asked("choose_on", table, self.choose_on)

    def check(self, base: Path) -> None:
        both = sorted(set(self.models) & set(self.baselines))
        if both:
            raise ConfigError(f"stage {self.name}: {both[0]!r} is both a model and a baseline")
        metrics = TASKS[self.task].metrics
        if self.metric is not None and self.metric not in metrics:
            raise ConfigError(
                f"stage {self.name}: metric {self.metric!r}; there are {', '.join(metrics)}"
            )
        if self.task == "binary" and self.classes is not None and len(self.classes) != 2:
            raise ConfigError(f"stage {self.name}: classes are what 0 and 1 are called: two names")
        if bool(self.segments) != bool(self.segments_from):
            raise ConfigError(
                f"stage {self.name}: segments and segments_from, the table that has their columns, "
                "go together"
            )
        if self.must_beat_baseline and not self.baselines:
            raise ConfigError(f"stage {self.name}: must_beat_baseline needs baselines")

    def run(self, context: Context) -> Result:
        evaluation = self._evaluation(context)
        refused = None
        if self.must_beat_baseline and evaluation.outcome != "beats":
            refused = BaselineNotBeatenError(
                f"stage {self.name}: {evaluation.verdict} The stage asks for it "
                "(must_beat_baseline); the champion stays as it is"
            )
        folder = context.artifact()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(evaluation.to_json()))
        best = self.models[evaluation.best]
        champion = context.artifact_of(best)
        measured = evaluation.model(evaluation.best).metrics[evaluation.primary]
        decisions = judged_decisions(context, self.models, self.where, self.label, self.threshold)
        made = list(learnt(context.lake, context.commits[best]))
        data = {f"{one.table}@{one.version}" for one in made if one.data}
        seen = {condition for one in made for _, condition in one.conditions}
        return Result(
            frame=context.spark.createDataFrame(_rows(evaluation)),
            rows_in=evaluation.rows,
            metrics={
                "best": evaluation.best,
                "champion": str(champion.relative_to(context.lake.root)),
                "measured": {"metric": evaluation.primary, **asdict(measured)},
                "data": ", ".join(sorted(data)),
                "learnt": sorted(seen),
                "verdict": evaluation.verdict,
                "outcome": evaluation.outcome,
                **({"decisions": decisions} if decisions else {}),
            },
            artifact=True,
            refused=refused,
        )

    def _evaluation(self, context: Context) -> Evaluation:
        tables = {**self.baselines, **self.models}
        check_unseen(context, {**self.models, **self.baselines}, self.where)
        self._check_choice(context)
        scores = self._scores(context, tables, self.where, self.segments).persist()
        try:
            rows = scores.count()
            check_joined(context, tables, rows, self.where)
            if not rows:
                raise DataError(f"stage {self.name}: no row of the models' scores has {self.where}")
            return evaluate_table(
                scores,
                self.label,
                self.group,
                {name: name for name in tables},
                segments=self.segments,
                rows=rows,
                baselines=tuple(self.baselines),
                task=self.task,
                metric=self.metric,
                samples=self.samples,
                seed=context.seed,
                threshold=self.threshold,
                chosen=self._chosen(context) if self.choose_on else None,
                ensembles=self._ensembles(context),
                voting=[name for name, found in self._made(context) if _votes(found)],
                group_name=self.group_name,
                classes=self.classes,
            )
        finally:
            scores.unpersist()

    def _check_choice(self, context: Context) -> None:
        """Raise ConfigError if the best model is chosen on rows that it is measured on."""
        if self.choose_on is None:
            return
        rows = context.rows(next(iter(self.models.values())), self.where).where(self.choose_on)
        both = counted(context, rows)
        if both:
            raise ConfigError(
                f"stage {self.name}: choose_on ({self.choose_on}) takes {both:,} of the rows of "
                f"where ({self.where}), so the choice would not be made beforehand; take rows apart"
            )

    def _scores(
        self, context: Context, tables: Mapping[str, str], where: str, segments: Sequence[str] = ()
    ) -> DataFrame:
        """The scores of all models side by side, with the columns of the segments."""
        first = context.inputs[next(iter(tables.values()))]
        keys = [name for name in first.schema.names if name not in (*SCORES, DECISION)]
        scores = joined_scores(context, tables, keys, where)
        if not segments:
            return scores
        assert self.segments_from is not None
        beside = context.frame(self.segments_from)
        shared = [name for name in keys if name in beside.columns and name != self.label]
        missing = sorted(set(segments) - set(beside.columns))
        if missing or not shared:
            raise ConfigError(
                f"stage {self.name}: {self.segments_from} "
                + (f"has no column {', '.join(missing)}" if missing else f"has none of {keys}")
            )
        new = [name for name in segments if name not in keys]
        return scores.join(beside.select(*shared, *new), shared, "left")

    def _chosen(self, context: Context) -> str:
        assert self.choose_on is not None
        metric = self.metric or TASKS[self.task].primary
        scores = self._scores(context, self.models, self.choose_on)
        found = measure_table(
            scores,
            self.label,
            list(self.models),
            [metric],
            task=self.task,
            threshold=self.threshold,
            spark=context.spark,
        )
        columns = [found.column(name).to_pylist() for name in ("prediction", metric)]
        values = dict(zip(*columns, strict=True))
        if len(values) > 1 and set(values.values()) == {None}:
            raise DataError(
                f"stage {self.name}: {metric} is not defined on the rows of choose_on "
                f"({self.choose_on}), so no model is the best; choose on others"
            )
        best = next(iter(values))
        for name, value in values.items():
            if better(metric, value, values[best]):
                best = name
        return best

    def _ensembles(self, context: Context) -> dict[str, list[str]]:
        """Ensembles among the models, with those members that are measured beside them."""
        found = {}
        for name, metrics in self._made(context):
            measured = [one for one in metrics.get("members", []) if one in self.models]
            if measured:
                found[name] = measured
        return found

    def _made(self, context: Context) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The models, with what their stages left in the ledger."""
        for name, table in self.models.items():
            yield name, (context.commits[table].metadata or {}).get("metrics") or {}


def load_evaluation(folder: Path) -> Evaluation:
    """The evaluation that a stage left in its artifact folder."""
    return Evaluation.from_json(json.loads((folder / FILE).read_text()))


def _votes(metrics: Mapping[str, Any]) -> bool:
    return "members" in metrics and metrics.get("method") == "voting"


def _rows(evaluation: Evaluation) -> pa.Table:
    rows: list[tuple[str, bool, str, Interval]] = [
        (model.name, model.baseline, metric, interval)
        for model in evaluation.models
        for metric, interval in model.metrics.items()
    ]
    rows += [
        (model.name, model.baseline, f"{metric} of {one.name}", Interval(value=value))
        for model in evaluation.models
        for one in model.by_class
        for metric, value in (("roc_auc", one.roc_auc), ("pr_auc", one.pr_auc))
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
