"""ensemble: one score of several models' scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.model import SCORES, Model, Task
from sparkmine.stages.base import Context, Names, Result, Stage, TableName
from sparkmine.stages.scored import MISMATCH, joined_scores

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Ensemble(Stage):
    """Combine the scores of fitted models: `averaging` of probabilities or numbers, or `voting`."""

    kind: ClassVar[str] = "ensemble"
    stage: Literal["ensemble"]
    method: Literal["averaging", "voting"]
    members: Mapping[str, TableName] = Field(min_length=2)
    weights: list[Annotated[float, Field(gt=0.0, strict=False)]] | None = None
    threshold: float = Field(default=0.5, gt=0.0, lt=1.0, strict=False)
    keys: Names
    label: str
    task: Task = "binary"
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
        if self.task == "regression" and self.method == "voting":
            raise ConfigError(f"stage {self.name}: numbers are averaged; there is nothing to vote")

    def run(self, context: Context) -> Result:
        from sparkmine import mine
        from sparkmine.mine.combined import CombinedModel

        names = tuple(self.members)
        scores = joined_scores(context, self.members, [*self.keys, self.label])
        combiner = (
            mine.Averaging(names, None if self.weights is None else tuple(self.weights))
            if self.method == "averaging"
            else mine.Voting(names, self.threshold)
        ).model(self._classes(scores))
        folders = {name: context.artifact_of(table) for name, table in self.members.items()}
        CombinedModel(
            combiner=combiner, members={n: Model.load(f) for n, f in folders.items()}
        ).save(context.artifact())
        scored = combiner.transform(scores)
        added = [name for name in SCORES if name in scored.columns]
        return Result(
            frame=scored.select(*self.keys, self.label, *added),
            rows_in=context.inputs[next(iter(self.members.values()))].rows,
            quarantined=0,
            removed=0,
            accounted=True,
            mismatch=MISMATCH,
            metrics={"members": list(names), "method": self.method},
            artifact=True,
        )

    def _classes(self, scores: DataFrame) -> int | None:
        """How many classes the members' probabilities are of; None unless there are several.

        Raises:
            ConfigError: a member has no probabilities.
        """
        from pyspark.sql import functions as F
        from pyspark.sql.types import ArrayType

        if self.task != "multiclass":
            return None
        for name, table in self.members.items():
            if not isinstance(scores.schema[name].dataType, ArrayType):
                raise ConfigError(f"stage {self.name}: {table} has no probabilities of classes")
        most = [F.max(F.size(name)) for name in self.members]
        found = scores.agg(*most).first()
        sizes = set() if found is None else set(found)
        if len(sizes) != 1 or None in sizes:
            raise ConfigError(
                f"stage {self.name}: the members know {sorted(map(str, sizes))} classes"
            )
        return int(sizes.pop())
