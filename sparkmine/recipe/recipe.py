"""A recipe: operators in order. Fitting it costs one scan for each round of dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.errors import RecipeError
from sparkmine.lake import Snapshot
from sparkmine.recipe.columns import columns_of
from sparkmine.recipe.fitted import FittedRecipe
from sparkmine.recipe.fitting import fit
from sparkmine.recipe.operator import Operator
from sparkmine.recipe.operators.target import TargetEncode
from sparkmine.recipe.plan import plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from sparkmine.recipe.spark_ml import RecipeEstimator


class Recipe:
    """Feature operators in order.

    Args:
        operators: Each sees the columns as the ones before leave them.
        keys: Columns that identify a row; never selected, kept as they are.
        label: The target; never selected, kept as it is, given to operators that relate to it.
        keep: Further columns that pass through untouched, such as those that split periods.
    """

    def __init__(
        self,
        *operators: Operator,
        keys: Sequence[str] = (),
        label: str | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        for operator in operators:
            if not isinstance(operator, Operator):
                raise RecipeError(f"{operator!r} is not an operator")
        self.operators = operators
        self.keys = tuple(keys)
        self.label = label
        self.keep = tuple(keep)

    @property
    def untouched(self) -> tuple[str, ...]:
        """Columns that no selector sees."""
        return (*self.keys, *([self.label] if self.label else []), *self.keep)

    def fit(
        self,
        source: Snapshot | DataFrame,
        spark: SparkSession | None = None,
        scratch: str | Path | None = None,
    ) -> FittedRecipe:
        """Learn every operator's values from a snapshot or a DataFrame.

        Args:
            scratch: A folder that all executors see. It takes counts of categories, which an
                `update` needs, and vocabularies of more than a million of them. In local mode a
                temporary one by default; on a cluster none: nothing is kept for an update, and
                columns of more categories are refused.

        Raises:
            RecipeError: columns are missing, or two operators clash; too many categories for the
                driver.
            DataError: values that an operator cannot work on.
        """
        self._check(source.schema)
        folder = None if scratch is None else Path(scratch)
        return fit(self, source, session_of(source, spark), folder)

    def fit_transform(
        self,
        source: Snapshot | DataFrame,
        *,
        fold: str,
        spark: SparkSession | None = None,
        scratch: str | Path | None = None,
    ) -> tuple[FittedRecipe, DataFrame]:
        """Fit, and transform the rows of the fit without their own labels in their features.

        `TargetEncode` gives a row the means of the other folds' rows; operators behind it are
        fitted on these values. All rows of one value of the column `fold` are in one fold. Other
        operators do as in `fit` and `transform`; `scratch` is that of `fit`.

        Returns:
            The fitted recipe, for rows that are not of the fit, and the transformed rows.
        """
        if fold not in source.schema.names:
            raise RecipeError(
                f"the data has no column {fold!r} (fold); it has {source.schema.names}"
            )
        if fold not in self.untouched:
            raise RecipeError(f"fold={fold!r} must stay as it is: name it in keys or keep")
        operators = [
            replace(one, fold=fold) if isinstance(one, TargetEncode) else one
            for one in self.operators
        ]
        recipe = Recipe(*operators, keys=self.keys, label=self.label, keep=self.keep)
        session = session_of(source, spark)
        fitted = recipe.fit(source, session, scratch)
        df = source.dataframe(session) if isinstance(source, Snapshot) else source
        return fitted, fitted.transform_training(df)

    def estimator(self) -> RecipeEstimator:
        """The recipe as an Estimator of `pyspark.ml`.

        Raises:
            RecipeError: it encodes by the label: a Pipeline would learn from rows whose features
                hold their own labels.
        """
        if any(isinstance(one, TargetEncode) for one in self.operators):
            raise RecipeError(
                "TargetEncode cannot be in a pyspark.ml Pipeline, which transforms the rows it was "
                "fitted on; use recipe.fit_transform(data, fold=...)"
            )
        from sparkmine.recipe.spark_ml import RecipeEstimator

        return RecipeEstimator(self)

    def plan(self, schema: StructType) -> str:
        """The rounds of the fit as text: operators and their statistics. Nothing is scanned.

        Operators behind one whose columns are known only after its fit are listed as waiting.
        """
        self._check(schema)
        return plan(self, columns_of(schema))

    def _check(self, schema: StructType) -> None:
        missing = [name for name in self.untouched if name not in schema.names]
        if missing:
            raise RecipeError(
                f"the data has no column {missing[0]!r} (key, label or keep); it has {schema.names}"
            )


def session_of(source: Snapshot | DataFrame, spark: SparkSession | None) -> SparkSession:
    from pyspark.sql import SparkSession

    """The session given, the active one, or that of a DataFrame."""
    found = spark or (
        SparkSession.getActiveSession() if isinstance(source, Snapshot) else source.sparkSession
    )
    if found is None:
        raise RecipeError("fitting on a snapshot needs a running session: call sparkmine.session()")
    return found
