"""kmeans: clusters of rows by their distance to means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sparkmine.stages.base import (
    Condition,
    Context,
    FeatureSelector,
    Names,
    Result,
    Stage,
    TableName,
)
from sparkmine.stages.features import feature_columns
from sparkmine.stages.needs import Need, asked, named

# Numbers of a picture: the features by which the clusters differ most.
MAX_SHOWN = 30


class KMeans(Stage):
    """Cluster the rows of `input` where `fit_on` is true; write keys, cluster, distance of all.

    Attributes:
        features: A selector; all numbers, buckets, one-hot columns and arrays of the table when
            left out, as for models. Scale them before: distances are those of the columns.
        keys: Columns that name a row; kept beside the cluster.
        k, ks: How many clusters, or the numbers from which one is chosen.
    """

    kind: ClassVar[str] = "kmeans"
    stage: Literal["kmeans"]
    input: TableName
    table: TableName
    features: FeatureSelector | None = None
    keys: Names
    fit_on: Condition | None = None
    k: int | None = Field(default=None, ge=1)
    ks: list[int] | None = Field(default=None, min_length=2)
    max_iterations: int = Field(default=20, ge=1)
    tolerance: float = Field(default=1e-4, ge=0.0, strict=False)
    starts: int = Field(default=1, ge=1)
    seed: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> KMeans:
        if (self.k is None) == (self.ks is None):
            raise ValueError("give k, or ks to choose from")
        return self

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield asked("fit_on", self.input, self.fit_on)

    def run(self, context: Context) -> Result:
        from sparkmine import mine

        snapshot = context.inputs[self.input]
        fit_on = context.rows(self.input, self.fit_on)
        features = feature_columns(context, self.input, self.features, self.keys)
        settings: dict[str, Any] = {
            "max_iterations": self.max_iterations,
            "tolerance": self.tolerance,
            "starts": self.starts,
            "seed": context.seed if self.seed is None else self.seed,
        }
        chosen = None
        if self.ks is not None:
            chosen = mine.choose_k(fit_on, features, self.ks, spark=context.spark, **settings)
            model = chosen.model
        else:
            assert self.k is not None
            model = mine.KMeans(k=self.k, **settings).fit(fit_on, features, context.spark)
        model.save(context.artifact())
        frame = model.score(snapshot, self.keys, context.spark)
        figures = {**model.describe(), **model.heat(MAX_SHOWN)}
        if chosen is not None:
            figures["choice"] = chosen.describe()
        return Result(
            frame=frame, rows_in=snapshot.rows, metrics={"kmeans": figures}, artifact=True
        )
