"""ensemble: one score of several models' scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.model import SCORES, Model, Task
from sparkmine.stages.base import Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.needs import Need, asked, named
from sparkmine.stages.scored import MISMATCH, joined_scores

if TYPE_CHECKING:
    from sparkmine.mine.weights import Weights


class Ensemble(Stage):
    """Combine the scores of fitted models: `averaging` of probabilities or numbers, or `voting`.

    Attributes:
        weights: Of an average, in the order of the members; `validation` finds those with the least
            log loss, or squared error, on the rows where `choose_on` is true.
    """

    kind: ClassVar[str] = "ensemble"
    stage: Literal["ensemble"]
    method: Literal["averaging", "voting"]
    members: Mapping[str, TableName] = Field(min_length=2)
    weights: Literal["validation"] | list[Annotated[float, Field(gt=0.0, strict=False)]] | None = (
        None
    )
    choose_on: Condition | None = None
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

    @property
    def needs(self) -> Iterable[Need]:
        for key, table in self.reads.items():
            yield named(key, table, SCORES[0])
            yield named("keys", table, *self.keys)
            yield named("label", table, self.label)
            yield asked("choose_on", table, self.choose_on)

    def check(self, base: Path) -> None:
        if (self.weights == "validation") != (self.choose_on is not None):
            raise ConfigError(
                f"stage {self.name}: `weights: validation` and `choose_on:`, the rows to find them "
                "on, go together"
            )
        if isinstance(self.weights, list) and len(self.weights) != len(self.members):
            raise ConfigError(
                f"stage {self.name}: {len(self.weights)} weights for {len(self.members)} members"
            )
        if self.weights is not None and self.method == "voting":
            raise ConfigError(f"stage {self.name}: voting takes no weights")
        if self.task == "regression" and self.method == "voting":
            raise ConfigError(f"stage {self.name}: numbers are averaged; there is nothing to vote")

    def run(self, context: Context) -> Result:
        from sparkmine import mine
        from sparkmine.mine.members import classes_of

        names = tuple(self.members)
        scores = joined_scores(context, self.members, [*self.keys, self.label])
        classes = classes_of(scores, names) if self.task == "multiclass" else None
        metrics: dict[str, Any] = {"members": list(names), "method": self.method}
        if self.method == "averaging":
            weights = self.weights
            if weights == "validation":
                chosen = self._chosen(context)
                weights = list(chosen.weights)
                metrics["weights"] = dict(zip(names, chosen.weights, strict=True))
                metrics["loss"] = {"weighted": chosen.loss, "equal": chosen.equal}
            combiner = mine.Averaging(names, None if weights is None else tuple(weights))
            model = combiner.model(classes)
        else:
            model = mine.Voting(names, self.threshold).model(classes)
        folders = {name: context.artifact_of(table) for name, table in self.members.items()}
        members = {name: Model.load(folder) for name, folder in folders.items()}
        mine.CombinedModel(combiner=model, members=members).save(context.artifact())
        scored = model.transform(scores)
        added = [name for name in SCORES if name in scored.columns]
        return Result(
            frame=scored.select(*self.keys, self.label, *added),
            rows_in=context.inputs[next(iter(self.members.values()))].rows,
            quarantined=0,
            removed=0,
            accounted=True,
            mismatch=MISMATCH,
            metrics=metrics,
            artifact=True,
        )

    def _chosen(self, context: Context) -> Weights:
        """The weights that are best on the validation rows."""
        from sparkmine.mine.weights import choose_weights

        rows = joined_scores(context, self.members, [*self.keys, self.label], self.choose_on)
        return choose_weights(rows, list(self.members), self.label, self.keys, self.task)
