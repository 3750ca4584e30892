"""Fit a recipe, or bring a fitted one up to date with the rows that were appended since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.errors import RecipeError
from sparkmine.lake import Snapshot
from sparkmine.recipe.columns import columns_of
from sparkmine.recipe.fitted import FittedRecipe, FittedStep
from sparkmine.recipe.learned import Learned
from sparkmine.recipe.rounds import Rounds
from sparkmine.sessions import is_local
from sparkmine.stats import Memory, StatEngine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.recipe.recipe import Recipe


def fit(
    recipe: Recipe, source: Snapshot | DataFrame, spark: SparkSession, scratch: Path | None
) -> FittedRecipe:
    """See `Recipe.fit`."""
    engine = StatEngine(source, spark, memory=_memory(spark, scratch))
    return _fit(recipe, source, engine, ())


def update(
    fitted: FittedRecipe, snapshot: Snapshot, spark: SparkSession, scratch: Path | None
) -> FittedRecipe:
    """See `FittedRecipe.update`."""
    learned = fitted.learned
    if learned is None:
        raise RecipeError("a recipe that was fitted on a DataFrame cannot be updated; fit it again")
    appended = _appended(learned, snapshot)
    memory = _memory(spark, scratch)
    engine = StatEngine(appended, spark, memory=memory, before=learned.memory, whole=snapshot)
    return _fit(fitted.recipe(), snapshot, engine, fitted.steps)


def _memory(spark: SparkSession, scratch: Path | None) -> Memory:
    """Counts go into `scratch`; without it, in local mode into a temporary folder of the machine,
    on a cluster, whose executors do not see that, nowhere."""
    if scratch is None and not is_local(spark):
        return Memory()
    return Memory.within(scratch)


def _appended(learned: Learned, snapshot: Snapshot) -> Snapshot:
    """The files that came since."""
    if snapshot.path != learned.path:
        raise RecipeError(f"the recipe was fitted on {learned.path}, not on {snapshot.path}")
    then, now = learned.predicate, snapshot.predicate
    if (then is None) != (now is None) or (then is not None and not then.same(now)):  # type: ignore[arg-type]
        raise RecipeError("the recipe was fitted on another part (where) of the table; give that")
    gone = learned.files - {file.path for file in snapshot.files}
    if gone:
        raise RecipeError(
            f"rows were deleted or rewritten since version {learned.version} of {learned.path} "
            f"({len(gone)} of its files are not in version {snapshot.version}): fit it again"
        )
    files = tuple(file for file in snapshot.files if file.path not in learned.files)
    return replace(snapshot, files=files)


def _fit(
    recipe: Recipe,
    source: Snapshot | DataFrame,
    engine: StatEngine,
    previous: Sequence[FittedStep],
) -> FittedRecipe:
    rounds = Rounds(recipe, columns_of(source.schema), previous, engine.extended)
    while (requests := rounds.advance()) is not None:
        unknown = rounds.asking([request for request in requests if engine.lacks(request)])
        if unknown:
            raise RecipeError(
                f"{', '.join(unknown)}: what they ask of their columns depends on fitted values "
                "that have changed, or was not kept; fit the recipe again"
            )
        rounds.receive(engine.run(requests, rounds.ahead()))
    steps = [step for step in rounds.steps if step is not None]
    inputs = {field.name: field.dataType.simpleString() for field in source.schema.fields}
    learned = None
    if isinstance(source, Snapshot):
        files = frozenset(file.path for file in source.files)
        learned = Learned(source.path, source.version, source.predicate, files, engine.memory)
    return FittedRecipe(
        steps,
        inputs,
        keys=recipe.keys,
        label=recipe.label,
        keep=recipe.keep,
        scans=engine.scans,
        learned=learned,
    )
