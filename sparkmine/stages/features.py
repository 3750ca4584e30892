"""features: a recipe, fitted on one part of a table, applied to all of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, RecipeError
from sparkmine.recipe import FittedRecipe, Recipe, operator_from, parse_selector
from sparkmine.recipe.columns import (
    BOOLEAN,
    BUCKET,
    INDEX,
    NUMBER,
    ONE_HOT,
    SPARSE,
    TEXT,
    VECTOR,
    ColumnInfo,
    columns_of,
)
from sparkmine.sessions import is_local
from sparkmine.stages.base import Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.learnt import check_some
from sparkmine.stages.needs import Need, asked, named

FEATURE_KINDS = (NUMBER, BOOLEAN, BUCKET, ONE_HOT, VECTOR, SPARSE)


class Features(Stage):
    """Fit `recipe` on the rows of `input` where `fit_on` is true, and transform all rows.

    Every entry of `recipe` has `operator:`, its name (or `module:Class`), and its parameters.
    """

    kind: ClassVar[str] = "features"
    stage: Literal["features"]
    input: TableName
    table: TableName
    fit_on: Condition | None = None
    keys: Names
    label: str | None = None
    keep: Names = Field(default_factory=list)
    recipe: list[Mapping[str, Any]] = Field(min_length=1)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield named("label", self.input, self.label)
        yield named("keep", self.input, *self.keep)
        yield asked("fit_on", self.input, self.fit_on)

    def files(self, base: Path) -> list[Path]:
        """The modules of operators that are not sparkmine's."""
        modules = {
            str(entry.get("operator", "")).partition(":")[0]
            for entry in self.recipe
            if ":" in str(entry.get("operator", ""))
        }
        found = (importlib.util.find_spec(module) for module in sorted(modules))
        return [Path(spec.origin) for spec in found if spec is not None and spec.origin]

    def check(self, base: Path) -> None:
        self._recipe()

    def run(self, context: Context) -> Result:
        snapshot = context.inputs[self.input]
        training = context.rows(self.input, self.fit_on)
        check_some(context, self.input, "fit_on", self.fit_on)
        recipe = self._recipe()
        # What executors write must be where all of them see it.
        scratch = None if is_local(context.spark) else f"{context.target.root}/_scratch"
        fitted = recipe.fit(training, context.spark, scratch)
        fitted.save(context.artifact())
        return Result(
            frame=fitted.transform(snapshot, context.spark),
            rows_in=snapshot.rows,
            quarantined=0,
            removed=0 if snapshot.rows is not None else None,
            accounted=snapshot.rows is not None,
            metrics={
                "scans": fitted.scans,
                "columns": len(fitted.outputs) - len(fitted.untouched),
                "spectra": {
                    f"{name} of {len(row['dropped'])} columns": row["details"][
                        "explained_variance_ratio"
                    ]
                    for row in fitted.describe()
                    if "explained_variance_ratio" in row["details"]
                    for name in row["outputs"][:1]  # PCA may write its error beside
                },
                "removed_columns": sorted(
                    name
                    for row in fitted.describe()
                    if row["operator"].startswith("Select")
                    for name in row["dropped"]
                ),
            },
            artifact=True,
        )

    def _recipe(self) -> Recipe:
        operators = []
        for number, entry in enumerate(self.recipe):
            place = f"stage {self.name}: recipe[{number}]"
            parameters = dict(entry)
            name = parameters.pop("operator", None)
            if not isinstance(name, str):
                raise ConfigError(f"{place} lacks `operator:`, its name")
            try:
                operators.append(operator_from(name, parameters))
            except RecipeError as error:
                raise ConfigError(f"{place}: {error.text}") from None
        return Recipe(*operators, keys=self.keys, label=self.label, keep=self.keep)


def recipe_of(context: Context, table: str) -> FittedRecipe | None:
    """The recipe that made a table; None of tables that no `features` stage made."""
    made = (context.commits[table].metadata or {}).get("kind") == Features.kind
    return FittedRecipe.load(context.artifact_of(table)) if made else None


def feature_columns(
    context: Context,
    table: str,
    selector: str | None,
    without: Sequence[str] = (),
    indexes: Collection[str] = (),
) -> list[str]:
    """The columns of a table that models learn from, in the table's order.

    All numbers, buckets, one-hot columns and vectors that the recipe did not pass through as
    key, label or kept column; or those of them that `selector` takes.

    Args:
        without: Columns that are no features of a table that no recipe made.
        indexes: Index columns that the model takes too, as it embeds them.

    Raises:
        ConfigError: none is left, or one that is named is no feature.
        RecipeError: there is no such column.
    """
    recipe = recipe_of(context, table)
    untouched = without if recipe is None else recipe.untouched
    every = columns_of(context.inputs[table].schema)
    columns = [
        column
        for column in every
        if (column.kind in FEATURE_KINDS or column.name in indexes) and column.name not in untouched
    ]
    if selector is not None:
        chosen = parse_selector(selector)
        named = [column for column in chosen.pick(every) if column.name in chosen.names()]
        for column in named:
            if column not in columns:
                raise ConfigError(
                    f"stage {context.stage}: features name {column.name} of {table}, which is "
                    + _no_feature(column, untouched)
                )
        columns = [column for column in columns if chosen.matches(column)]
    if not columns:
        raise ConfigError(f"stage {context.stage}: no column of {table} is a feature")
    return [column.name for column in columns]


def _no_feature(column: ColumnInfo, untouched: Collection[str]) -> str:
    """What a column is that models cannot learn from, and what to do."""
    if column.name in untouched:
        return "a key, the label or a kept column: leave it out"
    if column.kind == TEXT:
        return "text: encode it in a recipe (OneHot, TargetEncode, TfIdf), or leave it out"
    if column.kind == INDEX:
        return "an index: only networks take it, by `embeddings`"
    return f"no number ({column.kind}): make numbers of it in a recipe, or leave it out"
