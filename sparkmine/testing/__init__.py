"""The promises that every operator keeps, as checks of your own operators.

    def test_my_operator(spark):
        check_operator(MyOperator(columns=select("a")), table, keys=["id"], spark=spark)

A broken promise is an AssertionError that says which one, and where. The table should have some
twenty rows or more, of plain values; the checks put holes into it. docs/architecture.md lists the
promises.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.errors import RecipeError
from sparkmine.recipe import Operator, Recipe
from sparkmine.testing.awkward import CASES, HOLES
from sparkmine.testing.checks import Checks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MINIMUM_ROWS = 10

__all__ = ["CASES", "HOLES", "check_operator", "check_recipe"]


def check_operator(
    operator: Operator,
    table: pa.Table,
    *,
    keys: Sequence[str] = (),
    label: str | None = None,
    refuses: Collection[str] = (),
    spark: SparkSession | None = None,
) -> None:
    """Check all promises of one operator on a table.

    Args:
        table: What it is fitted on, without holes.
        keys, label: As for a `Recipe`.
        refuses: Cases that the fit answers by a coded error on purpose, as PCA does with holes:
            some of `CASES`.
        spark: The session; the running one, or a local one, without it.

    Raises:
        AssertionError: a promise is broken; says which, and where.
    """
    check_recipe(Recipe(operator, keys=keys, label=label), table, refuses=refuses, spark=spark)


def check_recipe(
    recipe: Recipe,
    table: pa.Table,
    *,
    refuses: Collection[str] = (),
    spark: SparkSession | None = None,
) -> None:
    """The same for operators that work together, in about the time of one."""
    unknown = sorted(set(refuses) - set(CASES))
    if unknown:
        raise RecipeError(f"refuses has no case {unknown[0]!r}; there are {', '.join(CASES)}")
    if table.num_rows < MINIMUM_ROWS:
        raise RecipeError(f"the checks want a table of at least {MINIMUM_ROWS} rows")
    if spark is None:
        from sparkmine.sessions import session

        spark = session("check")
    checks = Checks(recipe, table, refuses, spark)
    checks.parameters()
    fitted = checks.plain()
    checks.partitioning(fitted)
    checks.unseen(fitted)
    for case in CASES:
        checks.case(case)
