"""predict: score rows by the champion, or by the best model of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, DataError
from sparkmine.model import DECISION, SCORES, Model, Task
from sparkmine.stages.base import Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.chosen import chosen_model
from sparkmine.stages.needs import Need, asked, named

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BINS = 20


class Predict(Stage):
    """Score the rows of `input` where `where` is true, by the `champion`.

    In place of a champion's table, `evaluation` takes the best model of an evaluation.

    Attributes:
        task: What the model predicts: the probability of class 1, a class, or a number.
        threshold: Of a binary task: rows from this probability on are counted. A model that has a
            threshold of its own, chosen for costs, decides by that.
    """

    kind: ClassVar[str] = "predict"
    stage: Literal["predict"]
    input: TableName
    champion: TableName | None = None
    evaluation: TableName | None = None
    where: Condition
    keys: Names
    task: Task = "binary"
    table: TableName
    threshold: float = Field(default=0.5, ge=0.0, le=1.0, strict=False)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        model = {"champion": self.champion, "evaluation": self.evaluation}
        return {"input": self.input, **{key: name for key, name in model.items() if name}}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield asked("where", self.input, self.where)

    def check(self, base: Path) -> None:
        if (self.champion is None) == (self.evaluation is None):
            raise ConfigError(f"stage {self.name}: name either a champion or an evaluation")

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        from sparkmine import mine

        source = self.champion or self.evaluation
        assert source is not None
        best, folder = chosen_model(context, source)
        model = Model.load(folder)
        scored = model.score(context.rows(self.input, self.where), self.keys, context.spark)
        added = [name for name in (*SCORES, DECISION) if name in scored.columns]
        scored = scored.select(*self.keys, *added, F.lit(best).alias("model"))
        threshold = model.threshold if isinstance(model, mine.Decided) else self.threshold
        # A few thousand scores are collected twice: once to write, once to describe.
        described = _described(scored, self.task, threshold)
        if not described["rows"]:
            raise DataError(f"stage {self.name}: no row of {self.input} has {self.where}")
        return Result(
            frame=scored,
            rows_in=described["rows"],
            quarantined=0,
            removed=0,
            accounted=True,
            metrics={
                "model": best,
                "task": self.task,
                "where": self.where,
                **described,
                **({"threshold": threshold} if self.task == "binary" else {}),
            },
        )


def _described(scored: DataFrame, task: Task, threshold: float) -> dict[str, Any]:
    """How many rows there are, and how many in equally wide bins of the predictions.

    Of classes each has its bin. A row without prediction is in no bin. What the model has decided
    is counted as it is, other predictions from the threshold on.
    """
    from pyspark.sql import functions as F

    score = F.col("prediction").cast("double")
    if task == "binary":
        low, high, bins = 0.0, 1.0, BINS
    else:
        found = scored.agg(F.min(score), F.max(score)).first()
        low, high = (0.0, 0.0) if found is None or found[0] is None else found
        bins = BINS
        if task == "multiclass":
            low, high, bins = -0.5, high + 0.5, int(high) + 1
    width = (high - low) / bins or 1.0
    known = score.isNotNull() & ~F.isnan(score)  # `least` passes over nulls
    place = F.when(known, F.least(F.floor((score - low) / width), F.lit(bins - 1)))
    taken = F.col(DECISION) == 1 if DECISION in scored.columns else score >= threshold
    counts = scored.groupBy(place.alias("bin")).agg(
        F.count("*").alias("rows"), F.count_if(taken).alias("positives")
    )
    by_bin = {row["bin"]: row for row in counts.collect()}
    positives = sum(row["positives"] for row in by_bin.values())
    return {
        "rows": sum(row["rows"] for row in by_bin.values()),
        **({"positives": positives} if task == "binary" else {}),
        "histogram": {
            "edges": [low + width * place for place in range(bins + 1)],
            "counts": [by_bin[n]["rows"] if n in by_bin else 0 for n in range(bins)],
        },
    }
