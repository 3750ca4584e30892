"""predict: score rows by the champion, or by the best model of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.report import Histogram
from sparkmine.model import Model
from sparkmine.stages.base import Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.chosen import chosen_model


class Predict(Stage):
    """Score the rows of `input` where `where` is true, by the `champion`.

    In place of a champion's table, `evaluation` takes the best model of an evaluation.
    """

    kind: ClassVar[str] = "predict"
    stage: Literal["predict"]
    input: TableName
    champion: TableName | None = None
    evaluation: TableName | None = None
    where: Condition
    keys: Names
    table: TableName
    threshold: float = Field(default=0.5, ge=0.0, le=1.0, strict=False)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        model = {"champion": self.champion, "evaluation": self.evaluation}
        return {"input": self.input, **{key: name for key, name in model.items() if name}}

    def check(self, base: Path) -> None:
        if (self.champion is None) == (self.evaluation is None):
            raise ConfigError(f"stage {self.name}: name either a champion or an evaluation")

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        source = self.champion or self.evaluation
        assert source is not None
        name, folder = chosen_model(context, source)
        model = Model.load(folder)
        rows = context.frame(self.input, self.where)
        scored = model.transform(rows).select(*self.keys, "prediction", F.lit(name).alias("model"))
        # A few thousand scores are collected twice: once to write, once to describe.
        described = scored.select(
            F.count("prediction").alias("rows"),
            F.count_if(F.col("prediction") >= self.threshold).alias("positives"),
            *(
                F.count_if(F.least(F.floor(F.col("prediction") * 20), F.lit(19)) == i).alias(
                    f"b{i}"
                )
                for i in range(20)
            ),
        ).first()
        assert described is not None
        if not described["rows"]:
            raise DataError(f"stage {self.name}: no row of {self.input} has {self.where}")
        return Result(
            frame=scored,
            rows_in=described["rows"],
            quarantined=0,
            removed=0,
            accounted=True,
            metrics={
                "model": name,
                "where": self.where,
                "rows": described["rows"],
                "positives": described["positives"],
                "threshold": self.threshold,
                "histogram": [described[f"b{i}"] for i in range(20)],
            },
        )


def histogram(counts: list[int]) -> Histogram:
    """The histogram of scores that a commit's metrics hold: equally wide bins of [0, 1]."""
    edges = tuple(i / len(counts) for i in range(len(counts) + 1))
    return Histogram(edges=edges, counts=tuple(counts))
