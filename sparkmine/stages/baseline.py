"""baseline: what any model must beat."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.model import Model
from sparkmine.stages.base import Block, Context
from sparkmine.stages.scored import ModelStage


class MajorityModel(Block):
    """The share of class 1 among the training rows, for every row."""

    kind: Literal["majority"]


class PersistenceModel(Block):
    """A 0/1 column of the row itself, such as last week's answer."""

    kind: Literal["persistence"]
    column: str


class Baseline(ModelStage):
    """What any model must beat."""

    kind: ClassVar[str] = "baseline"
    stage: Literal["baseline"]
    model: Annotated[MajorityModel | PersistenceModel, Field(discriminator="kind")]

    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        from sparkmine import mine

        training = context.inputs[self.input].where(self.train)
        if isinstance(self.model, MajorityModel):
            return mine.MajorityClass().fit(training, self.label, spark=context.spark), {}
        persistence = mine.Persistence(column=self.model.column)
        return persistence.fit(training, spark=context.spark), {}
