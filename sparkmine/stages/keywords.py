"""keywords: the terms that are characteristic of each group of texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.evaluate.report.pictures import shortened
from sparkmine.stages.base import Context, Result
from sparkmine.stages.needs import Need, named
from sparkmine.stages.texts import SHOWN, TextStage

# Of the report: its groups, and the keywords of each.
MAX_GROUPS, MAX_WORDS = 30, 12


class Keywords(TextStage):
    """Write the keywords of the rows with equal values of the column `group`, by rank.

    See `sparkmine.mine.Keywords` for `top`, `min_documents` and `min_score`.
    """

    kind: ClassVar[str] = "keywords"
    stage: Literal["keywords"]
    group: str
    top: int = Field(default=20, ge=1)
    min_documents: int = Field(default=5, ge=1)
    min_score: float = Field(default=10.83, ge=0.0, strict=False)

    @property
    def needs(self) -> Iterable[Need]:
        yield from super().needs
        yield named("group", self.input, self.group)

    def check(self, base: Path) -> None:
        _ = self.tokens

    def run(self, context: Context) -> Result:
        from sparkmine import mine

        snapshot = context.inputs[self.input]
        rows = context.rows(self.input, self.where)
        how = mine.Keywords(
            tokens=self.tokens,
            top=self.top,
            min_documents=self.min_documents,
            min_score=self.min_score,
        )
        model = how.fit(rows, self.text, self.group, context.spark)
        model.save(context.artifact())
        largest = model.describe(MAX_GROUPS, MAX_WORDS)
        for word in (word for one in largest for word in one["keywords"] if word["example"]):
            word["example"] = shortened(word["example"], SHOWN)
        figures = {
            "text": self.text,
            "group": self.group,
            "texts": sum(model.texts.values()),
            "groups": len(model.texts),
            "largest": largest,
        }
        return Result(
            frame=context.spark.createDataFrame(model.table),
            rows_in=snapshot.rows,
            metrics={"keywords": figures},
            artifact=True,
        )
