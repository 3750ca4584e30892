"""explain: what a model goes by, in general and for each row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.evaluate import TASKS
from sparkmine.evaluate.explain import (
    Beside,
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
from sparkmine.stages.base import (
    Block,
    Condition,
    Context,
    FeatureSelector,
    Names,
    Result,
    Stage,
    TableName,
)
from sparkmine.stages.chosen import chosen_model
from sparkmine.stages.explained import ends, ends_here, importance_table
from sparkmine.stages.features import feature_columns
from sparkmine.stages.needs import Need, asked, named

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FILE = "explanation.json"


class RowReasons(Block):
    """Which rows get reasons, and how: see `sparkmine.evaluate.explain.Reasons`.

    Attributes:
        method: `sampling` of orders, for any model; or `shap`, for trees.
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
    features: FeatureSelector | None = None
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

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield named("label", self.input, self.label)
        yield named("group", self.input, self.group)
        yield asked("where", self.input, self.where)
        yield asked("reasons.where", self.input, self.reasons.where if self.reasons else None)
        if self.values_from:
            yield named("keys", self.values_from, *self.keys)

    def check(self, base: Path) -> None:
        given = [name for name in ("model", "champion", "evaluation") if getattr(self, name)]
        if len(given) != 1:
            raise ConfigError(
                f"stage {self.name}: name one of model, champion and evaluation, not "
                f"{' and '.join(given) or 'none'}"
            )
        metrics = TASKS[self.task].metrics
        if self.metric is not None and self.metric not in metrics:
            raise ConfigError(
                f"stage {self.name}: metric {self.metric!r}; there are {', '.join(metrics)}"
            )

    def run(self, context: Context) -> Result:
        name, folder = self._model(context)
        known = [*self.keys, self.label, *([self.group] if self.group else [])]
        explained = feature_columns(context, self.input, self.features, known)
        rows = context.frame(self.input, self.where)
        beside = self._beside(context, rows, explained)
        probe = Probe.of(
            Model.load(folder),
            rows,
            explained,
            task=self.task,
            label=self.label,
            keys=self.keys,
            group=self.group,
            groups=self.groups,
            shown=beside,
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
            sides, examples = self._explained(context, fitted, beside)
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
            frame=context.spark.createDataFrame(importance_table(importances)),
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

    def _beside(self, context: Context, rows: DataFrame, explained: Sequence[str]) -> Beside | None:
        """Where the values are that are shown in place of features."""
        if self.values_from is None:
            return None
        table = context.frame(self.values_from)
        missing = [name for name in self.keys if name not in table.columns]
        if missing:
            raise ConfigError(f"stage {self.name}: {self.values_from} has no {', '.join(missing)}")
        # Those that features are named like: what a recipe made of them is.
        named = {feature.name for feature in features_of(rows.schema, explained, self.groups)}
        columns = {name: name for name in table.columns if name in named}
        return Beside(table=table, keys=tuple(self.keys), columns=columns)

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
        beside: Beside | None,
    ) -> tuple[dict[str, int], tuple[Example, ...]]:
        """Write the reasons; the version of their table, and the rows at both ends."""
        from pyspark.sql import functions as F

        assert self.reasons is not None
        side = f"reasons/{self.name}"
        rows = context.frame(self.input, self.reasons.where)
        few = self._found_here(fitted, rows, beside)
        if few is not None:
            version = context.write_side(side, context.spark.createDataFrame(few))
            return {side: version}, self._examples(ends_here(few, self.keys), fitted)
        joined, shown = (rows, None) if beside is None else beside.joined(rows)
        version = context.write_side(side, fitted.transform(joined, self.keys, shown))
        written = context.target.table(side).snapshot(version).dataframe(context.spark)
        written = written.where(F.col("fingerprint") == context.fingerprint)
        return {side: version}, self._examples(ends(written, self.keys), fitted)

    def _found_here(
        self,
        fitted: FittedReasons | FittedShapReasons,
        rows: DataFrame,
        beside: Beside | None,
    ) -> pa.Table | None:
        """The reasons of few rows, without a Spark job for their scores; None of many."""
        if not isinstance(fitted, FittedReasons) or not (most := fitted.most_here):
            return None
        columns = dict.fromkeys([*self.keys, *fitted.background.column_names])
        few = rows.select(*(f"`{name}`" for name in columns)).limit(most + 1).toArrow()
        if not 0 < few.num_rows <= most:
            return None
        shown = None if beside is None else beside.of(few)
        return fitted.transform_arrow(few, self.keys, shown)

    def _examples(
        self, ends: pa.Table, fitted: FittedReasons | FittedShapReasons
    ) -> tuple[Example, ...]:
        """The rows with the highest predictions, and those with the lowest, as they are shown."""
        unique = {tuple(row[key] for key in self.keys): row for row in ends.to_pylist()}
        classes = self._classes(fitted.probe.outputs.shape[1])
        return tuple(
            Example(
                row=", ".join(f"{key} {row[key]}" for key in self.keys),
                prediction=row["prediction"],
                reasons=tuple(row["reasons"]),
                label=classes[row["class"]] if "class" in row else "",
            )
            for row in sorted(unique.values(), key=lambda row: -row["prediction"])
        )

    def _classes(self, count: int) -> tuple[str, ...]:
        if self.classes is not None and len(self.classes) >= count:
            return self.classes
        return tuple(str(number) for number in range(count))


def load_explanation(folder: Path) -> Explanation:
    """The explanation that a stage left in its artifact folder."""
    return Explanation.from_json(json.loads((folder / FILE).read_text()))
