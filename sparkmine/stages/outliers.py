"""outliers: how strange each row is, by several methods, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
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

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkmine.lake import Snapshot

SHOWN = 15


class Outliers(Stage):
    """Score rows by their strangeness: see `sparkmine.mine.Outliers`.

    Attributes:
        features: A selector; all numbers and arrays of the table when left out, as for models.
        train: Rows to learn from; all if left out.
        score: Rows to score; all if left out.
        scores: Tables of scores by other methods, such as an autoencoder's, by the names that they
            get here; they are joined by the keys and count as much as a method.
        label: A column of 0 and 1 that says which rows are known to be outliers; it is not learned
            from, and the ledger gets the ROC-AUC of the scores.
    """

    kind: ClassVar[str] = "outliers"
    stage: Literal["outliers"]
    input: TableName
    table: TableName
    keys: Names
    features: FeatureSelector | None = None
    train: Condition | None = None
    score: Condition | None = None
    scores: Mapping[str, TableName] = {}
    label: str | None = None
    methods: list[Literal["isolation_forest", "mahalanobis", "pca", "univariate"]] = Field(
        default=["isolation_forest", "mahalanobis", "pca", "univariate"], min_length=1
    )
    trees: int = Field(default=100, ge=1)
    sample: int = Field(default=256, ge=2)
    explained: Annotated[float, Field(gt=0.0, lt=1.0, strict=False)] = 0.9
    reasons: int = Field(default=3, ge=0)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {
            "input": self.input,
            **{f"scores.{name}": table for name, table in self.scores.items()},
        }

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield named("label", self.input, self.label)
        yield asked("train", self.input, self.train)
        yield asked("score", self.input, self.score)
        for name, table in self.scores.items():
            yield named(f"scores.{name}", table, *self.keys)

    def run(self, context: Context) -> Result:
        from sparkmine import mine

        label = [self.label] if self.label else []
        features = feature_columns(context, self.input, self.features, [*self.keys, *label])
        if self.label in features:
            raise ConfigError(f"stage {self.name}: the label {self.label} is among the features")
        rows = self._rows(context, self.train)
        method = mine.Outliers(
            methods=tuple(self.methods),
            scores=tuple(self.scores),
            trees=self.trees,
            sample=self.sample,
            explained=self.explained,
            reasons=self.reasons,
            seed=context.seed,
        )
        model = method.fit(rows, features, spark=context.spark)
        model.save(context.artifact())
        scored = model.score(self._rows(context, self.score), [*self.keys, *label], context.spark)
        # The figures take all scores before they are written: rows are scored once, into a cache.
        scored = scored.persist()
        return Result(
            frame=scored,
            rows_in=context.inputs[self.input].rows if self.score is None else None,
            metrics={"outliers": {**self._figures(scored), "features": len(features)}},
            artifact=True,
            cached=scored,
        )

    def _rows(self, context: Context, where: str | None) -> DataFrame | Snapshot:
        """The rows of the input with the scores of other stages beside them."""
        from pyspark.sql import functions as F

        rows = context.rows(self.input, where)
        if not self.scores:
            return rows
        joined = rows.dataframe(context.spark)
        for name, table in self.scores.items():
            scores = context.frame(table).select(*self.keys, F.col("prediction").alias(name))
            twice = scores.groupBy(*self.keys).count().where("count > 1").first()
            if twice is not None:
                raise ConfigError(
                    f"stage {self.name}: {table} scores {twice.asDict()} more than once; keys must "
                    "name a row"
                )
            # Rows without a score are refused, by the name of the column, where they are scored.
            joined = joined.join(scores, self.keys, "left")
        return joined

    def _figures(self, scored: DataFrame) -> dict[str, Any]:
        from pyspark.sql import functions as F

        # First what takes all partitions, so that the cache has them.
        rows = scored.count()
        top = scored.orderBy(F.col("score").desc(), *self.keys).limit(SHOWN).collect()
        figures = {
            "methods": [*self.methods, *self.scores],
            "rows": rows,
            "top": [
                {
                    "row": ", ".join(f"{key} {row[key]}" for key in self.keys),
                    "score": row["score"],
                    "reasons": row["reasons"],
                }
                for row in top
            ],
        }
        if self.label is not None:
            from sparkmine.evaluate import measure_table

            found = measure_table(
                scored, self.label, "score", ["roc_auc"], spark=scored.sparkSession
            )
            figures["roc_auc"] = found.column("roc_auc")[0].as_py()
        return figures
