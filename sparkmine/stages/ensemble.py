"""ensemble: one score of several models' scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.model import Model
from sparkmine.stages.base import Context, Names, Result, Stage, TableName
from sparkmine.stages.scored import MISMATCH, joined_scores


class Ensemble(Stage):
    """Combine the scores of fitted models: `averaging` of probabilities, or `voting`."""

    kind: ClassVar[str] = "ensemble"
    stage: Literal["ensemble"]
    method: Literal["averaging", "voting"]
    members: Mapping[str, TableName] = Field(min_length=2)
    weights: list[Annotated[float, Field(gt=0.0, strict=False)]] | None = None
    threshold: float = Field(default=0.5, gt=0.0, lt=1.0, strict=False)
    keys: Names
    label: str
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {f"members.{name}": table for name, table in self.members.items()}

    def check(self, base: Path) -> None:
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ConfigError(
                f"stage {self.name}: {len(self.weights)} weights for {len(self.members)} members"
            )
        if self.weights is not None and self.method == "voting":
            raise ConfigError(f"stage {self.name}: voting takes no weights")

    def run(self, context: Context) -> Result:
        from sparkmine import mine
        from sparkmine.mine.combined import CombinedModel

        names = tuple(self.members)
        combiner = (
            mine.Averaging(names, None if self.weights is None else tuple(self.weights))
            if self.method == "averaging"
            else mine.Voting(names, self.threshold)
        ).model()
        folders = {name: context.artifact_of(table) for name, table in self.members.items()}
        CombinedModel(
            combiner=combiner, members={n: Model.load(f) for n, f in folders.items()}
        ).save(context.artifact())
        scores = joined_scores(context, self.members, [*self.keys, self.label])
        return Result(
            frame=combiner.transform(scores).select(*self.keys, self.label, "prediction"),
            rows_in=context.inputs[next(iter(self.members.values()))].rows,
            quarantined=0,
            removed=0,
            accounted=True,
            mismatch=MISMATCH,
            metrics={"members": list(names), "method": self.method},
            artifact=True,
        )
