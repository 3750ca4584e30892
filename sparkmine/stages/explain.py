"""explain: what a model goes by, in general and for each row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.evaluate.explain import (
    Example,
    Explanation,
    FittedReasons,
    FittedShapReasons,
    Importances,
    PartialDependence,
    PermutationImportance,
    Probe,
    Reasons,
    ShapReasons,
    SurrogateTree,
    features_of,
)
from sparkmine.model import Model, Task
from sparkmine.stages.base import Block, Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.chosen import chosen_model
from sparkmine.stages.features import feature_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FILE = "explanation.json"
# Rows with their reasons in the report: so many of either end.
SHOWN = 5
_SHOWN = "_value_of_"


class RowReasons(Block):
    """Which rows get reasons, and how: see `sparkmine.evaluate.explain.Reasons`.

    Attributes:
        method: `sampling` of orders, for any model; or `shap`, for trees of scikit-learn.
    """

    where: Condition
    method: Literal["sampling", "shap"] = "sampling"
    top: int = Field(default=3, ge=1)
    background: int | None = Field(default=None, ge=1)
    orders: int = Field(default=2, ge=2, multiple_of=2)
    most: int = Field(default=15, ge=1)

    def fit(self, probe: Probe, importances: Importances) -> FittedReasons | FittedShapReasons:
        """Ready to explain rows of the probe's table."""
        if self.method == "shap":
            return ShapReasons(top=self.top, background=self.background or 100).fit(probe)
        how = Reasons(
            top=self.top, background=self.background or 20, orders=self.orders, most=self.most
        )
        return how.fit(probe, [one.feature for one in importances.features])


class Explain(Stage):
    """Explain a model on the rows of `input` where `where` is true.

    `table` gets the importance of each feature; with `reasons`, `reasons/STAGE` what moves the
    prediction of each row. Partial dependence and the surrogate are in the report.

    Attributes:
        model: The table of a model's scores; or `champion`, or `evaluation` for its best model.
        keys: Columns that name a row.
        features: A selector of what is explained by; all that models learn from when left out.
        groups: Columns that are changed together, by a name. Those of one source are anyway.
        values_from: A table with the keys, whose columns are shown in place of the features that
            were made from them.
        partial_dependence: Features, or how many of the most important ones.
        surrogate_depth: Of the tree; null for none.
    """

    kind: ClassVar[str] = "explain"
    stage: Literal["explain"]
    input: TableName
    table: TableName
    model: TableName | None = None
    champion: TableName | None = None
    evaluation: TableName | None = None
    where: Condition | None = None
    keys: Names = Field(min_length=1)
    label: str
    task: Task = "binary"
    classes: tuple[str, ...] | None = Field(default=None, strict=False)
    group: str | None = None
    features: str | None = None
    groups: Mapping[str, Names] = {}
    values_from: TableName | None = None
    metric: str | None = None
    threshold: float = Field(default=0.5, ge=0.0, le=1.0, strict=False)
    sample: int = Field(default=10_000, ge=10, le=100_000)
    repeats: int = Field(default=5, ge=1)
    samples: int = Field(default=200, ge=10)
    partial_dependence: Annotated[int, Field(ge=0)] | Names = 6
    surrogate_depth: int | None = Field(default=3, ge=1, le=8)
    reasons: RowReasons | None = None

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"reasons/{self.name}",) if self.reasons else ()

    @property
    def reads(self) -> dict[str, str]:
        names = ("input", "model", "champion", "evaluation", "values_from")
        return {name: table for name in names if (table := getattr(self, name))}

    def check(self, base: Path) -> None:
        given = [name for name in ("model", "champion", "evaluation") if getattr(self, name)]
        if len(given) != 1:
            raise ConfigError(
                f"stage {self.name}: name one of model, champion and evaluation, not "
                f"{' and '.join(given) or 'none'}"
            )

    def run(self, context: Context) -> Result:
        name, folder = self._model(context)
        known = [*self.keys, self.label, *([self.group] if self.group else [])]
        explained = feature_columns(context, self.input, self.features, known)
        rows, shown = self._rows(context, self.where, explained)
        probe = Probe.of(
            Model.load(folder),
            rows,
            explained,
            task=self.task,
            label=self.label,
            keys=self.keys,
            group=self.group,
            groups=self.groups,
            shown=shown,
            rows=self.sample,
            seed=context.seed,
            spark=context.spark,
        )
        importances = PermutationImportance(
            metric=self.metric,
            repeats=self.repeats,
            samples=self.samples,
            threshold=self.threshold,
        )(probe)
        curves = PartialDependence()(probe, self._drawn(probe, importances))
        surrogate = None
        if self.surrogate_depth is not None:
            tree = SurrogateTree(depth=self.surrogate_depth, threshold=self.threshold)
            surrogate = tree(probe)
        fitted: FittedReasons | FittedShapReasons | None = None
        sides: dict[str, int] = {}
        examples: tuple[Example, ...] = ()
        if self.reasons is not None:
            fitted = self.reasons.fit(probe, importances)
            sides, examples = self._explained(context, fitted, explained)
        classes = self.task == "multiclass"
        found = Explanation(
            model=name,
            table=self.input,
            where=self.where or "",
            task=self.task,
            rows=len(probe),
            left_out=probe.left_out,
            importances=importances,
            dependence=curves,
            surrogate=surrogate,
            expected=float(fitted.expected[0]) if fitted is not None and not classes else None,
            examples=examples,
            classes=self._classes(probe.outputs.shape[1]) if classes else (),
        )
        artifact = context.artifact()
        artifact.mkdir(parents=True, exist_ok=True)
        (artifact / FILE).write_text(json.dumps(found.to_json()))
        return Result(
            frame=context.spark.createDataFrame(_table(importances)),
            metrics={
                "explain": {
                    "model": name,
                    "metric": importances.metric,
                    "value": importances.value,
                    "rows": len(probe),
                    "left_out": probe.left_out,
                    "most_important": [one.feature for one in importances.features[:5]],
                    "fidelity": None if surrogate is None else surrogate.r2,
                }
            },
            sides=sides,
            artifact=True,
        )

    def _model(self, context: Context) -> tuple[str, Path]:
        if self.model is not None:
            metadata = context.commits[self.model].metadata or {}
            return metadata.get("stage", self.model), context.artifact_of(self.model)
        source = self.champion or self.evaluation
        assert source is not None
        return chosen_model(context, source)

    def _rows(
        self, context: Context, where: str | None, explained: Sequence[str]
    ) -> tuple[DataFrame, dict[str, str]]:
        """Rows of the input, with the columns to show beside; these by the feature's name."""
        from pyspark.sql import functions as F

        rows = context.frame(self.input, where)
        if self.values_from is None:
            return rows, {}
        beside = context.frame(self.values_from)
        missing = [name for name in self.keys if name not in beside.columns]
        if missing:
            raise ConfigError(f"stage {self.name}: {self.values_from} has no {', '.join(missing)}")
        # Those that features are named like: what a recipe made of them is.
        named = {feature.name for feature in features_of(rows.schema, explained, self.groups)}
        shown = {name: f"{_SHOWN}{name}" for name in beside.columns if name in named}
        beside = beside.select(
            *self.keys, *(F.col(f"`{name}`").alias(column) for name, column in shown.items())
        )
        # Few rows are wanted, and one for each.
        beside = beside.join(rows.select(*self.keys), self.keys, "left_semi")
        beside = beside.dropDuplicates(self.keys)
        return rows.join(beside, self.keys, "left"), shown

    def _drawn(self, probe: Probe, importances: Importances) -> Sequence[str]:
        """The features whose partial dependence is drawn."""
        if isinstance(self.partial_dependence, list):
            return self.partial_dependence
        names = [one.feature for one in importances.features]
        return [name for name in names if probe.feature(name).has_grid][: self.partial_dependence]

    def _explained(
        self,
        context: Context,
        fitted: FittedReasons | FittedShapReasons,
        explained: Sequence[str],
    ) -> tuple[dict[str, int], tuple[Example, ...]]:
        """Write the reasons; the version of their table, and the rows at both ends."""
        from pyspark.sql import functions as F

        assert self.reasons is not None
        rows, shown = self._rows(context, self.reasons.where, explained)
        side = f"reasons/{self.name}"
        version = context.write_side(side, fitted.transform(rows, self.keys, shown))
        written = context.target.table(side).snapshot(version).dataframe(context.spark)
        written = written.where(F.col("fingerprint") == context.fingerprint)
        written = written.where("prediction is not null")
        high = written.orderBy(F.col("prediction").desc(), *self.keys).limit(SHOWN)
        low = written.orderBy("prediction", *self.keys).limit(SHOWN)
        found = high.union(low).toArrow().to_pylist()
        unique = {tuple(row[key] for key in self.keys): row for row in found}
        classes = self._classes(fitted.probe.outputs.shape[1])
        examples = [
            Example(
                row=", ".join(f"{key} {row[key]}" for key in self.keys),
                prediction=row["prediction"],
                reasons=tuple(row["reasons"]),
                label=classes[row["class"]] if "class" in row else "",
            )
            for row in sorted(unique.values(), key=lambda row: -row["prediction"])
        ]
        return {side: version}, tuple(examples)

    def _classes(self, count: int) -> tuple[str, ...]:
        if self.classes is not None and len(self.classes) >= count:
            return self.classes
        return tuple(str(number) for number in range(count))


def load_explanation(folder: Path) -> Explanation:
    """The explanation that a stage left in its artifact folder."""
    return Explanation.from_json(json.loads((folder / FILE).read_text()))


def _table(importances: Importances) -> pa.Table:
    found: dict[str, list[Any]] = {
        "feature": [one.feature for one in importances.features],
        "columns": [list(one.columns) for one in importances.features],
        "importance": [one.importance for one in importances.features],
        "low": [one.low for one in importances.features],
        "high": [one.high for one in importances.features],
        "deviation": [one.deviation for one in importances.features],
        "rank": list(range(1, len(importances.features) + 1)),
    }
    kinds = {"columns": pa.list_(pa.string()), "rank": pa.int32()}
    kinds |= dict.fromkeys(("importance", "low", "high", "deviation"), pa.float64())
    return pa.table({name: pa.array(column, kinds.get(name)) for name, column in found.items()})
