"""The checks of operators find what is wrong: one wrong operator for each promise."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark import cloudpickle

from sparkmine.errors import RecipeError
from sparkmine.expr import col, function
from sparkmine.expr.functions import DEFINITIONS
from sparkmine.recipe import ColumnOperator, Operator, Recipe, operators
from sparkmine.recipe.block import AffineBlock
from sparkmine.recipe.columns import VECTOR, ColumnInfo
from sparkmine.recipe.operator import Fitting, Outcome
from sparkmine.recipe.selectors import select
from sparkmine.stats import Moments, Stat
from sparkmine.stats.missing import Missing
from sparkmine.testing import HOLES, check_operator
from sparkmine.testing.checks import Checks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark's workers cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

RNG = np.random.default_rng(8)
ROWS = 20
TABLE = pa.table(
    {
        "id": range(ROWS),
        "a": RNG.normal(5, 2, ROWS),
        "word": RNG.choice(["red", "green"], ROWS).tolist(),
        "y": RNG.integers(0, 2, ROWS),
    }
)
A, WORD = select("a"), select("word")


@pytest.fixture
def broken(spark: SparkSession) -> Callable[..., None]:
    """`broken(operator, text)`: the check fails and says `text`."""

    def check(operator: Operator, match: str, **options: Any) -> None:
        name = type(operator).__name__
        with pytest.raises(AssertionError, match=f"^broken promise of {name}: {match}"):
            check_operator(operator, TABLE, keys=["id"], label="y", spark=spark, **options)

    return check


@pytest.fixture
def redefine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`redefine(function, spark=..., arrow=...)` changes a function of the language."""

    def change(name: str, **changes: Any) -> None:
        monkeypatch.setitem(DEFINITIONS, name, dataclasses.replace(DEFINITIONS[name], **changes))

    return change


def test_a_good_operator_passes(spark: SparkSession) -> None:
    """One with a block function, which refuses most awkward data; the contract tests the rest."""
    pca = operators.PCA(columns=A, k=1)
    refuses = [*HOLES, "no values", "no rows"]
    check_operator(pca, TABLE, keys=["id"], label="y", refuses=refuses, spark=spark)


@dataclass(frozen=True)
class First(Stat):
    """The first value."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> None:
        return None

    def update(self, state: float | None, arrays: list[pa.Array]) -> float | None:
        return self.merge(state, arrays[0][0].as_py() if len(arrays[0]) else None)

    def merge(self, a: float | None, b: float | None) -> float | None:
        return b if a is None else a


@dataclass(frozen=True, kw_only=True)
class SubtractFirst(ColumnOperator):
    """Depends on the order of the rows of the fit."""

    def fit(self, column: str) -> Any:
        first = yield First(column)
        return col(column) - first


def test_order(broken: Callable[..., None]) -> None:
    broken(SubtractFirst(columns=A), "nothing depends on order or partitioning .* 'a' of row 0 is")


@dataclass(frozen=True, kw_only=True)
class Sine(ColumnOperator):
    """Right, unless the language is wrong."""

    def fit(self, column: str) -> Any:
        return function("sin", col(column))


def test_engines(broken: Callable[..., None], redefine: Callable[..., None]) -> None:
    redefine("sin", arrow=pc.cos)
    broken(Sine(columns=A), "Spark and Arrow give equal results; but 'a' of row 0 is .* by Spark")


def test_python_in_the_plan(
    spark: SparkSession, broken: Callable[..., None], redefine: Callable[..., None]
) -> None:
    spark.udf.register("slow_sin", math.sin, "double")
    redefine("sin", spark="slow_sin({0})")
    broken(Sine(columns=A), "no Python in Spark's plan .*EvalPython")


@dataclass(frozen=True, eq=False)
class Centred(AffineBlock):
    """Subtracts the mean of the block that it is given."""

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        values = block.column("a").to_numpy()
        return pa.array([[value - values.mean()] for value in values], pa.list_(pa.float64()))


@dataclass(frozen=True, kw_only=True)
class CentreBlocks(Operator):
    """Looks at other rows."""

    output: str | None = "centred"

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [ColumnInfo(str(self.output), VECTOR, 1)], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        one = np.ones((1, 1))
        block = Centred(inputs=("a",), widths=(1,), shift=np.zeros(1), weights=one, inverse=one)
        infos = {info.name: info for info in self.predicted(picked)[0]}
        return Outcome(blocks={str(self.output): block}, infos=infos)


def test_rows(broken: Callable[..., None]) -> None:
    broken(CentreBlocks(columns=A), "every row is transformed by itself; but 'centred' of row")


@dataclass(frozen=True, kw_only=True)
class KeyedDetails(Operator):
    """Has details that JSON changes."""

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        return [], ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        return Outcome(details={"by number": {1: "one"}})


def test_saving(broken: Callable[..., None]) -> None:
    broken(KeyedDetails(columns=A), r"saving and loading changes nothing; but describe\(\) differs")


@dataclass(frozen=True, kw_only=True)
class DropEverything(KeyedDetails):
    """Drops a key."""

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        return Outcome(dropped=("a", "id"))


def test_keys(broken: Callable[..., None]) -> None:
    broken(
        DropEverything(columns=A), "keys, label and kept columns are untouched; but 'id' is gone"
    )


@dataclass(frozen=True, kw_only=True)
class Leak(KeyedDetails):
    """Reads the label."""

    output: str | None = "leak"

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        return Outcome(outputs={"leak": col(str(label)) * 2.0})


def test_label(broken: Callable[..., None]) -> None:
    broken(Leak(columns=A), "new rows need no label; but EXPRESSION_INVALID: column 'y'")


@dataclass(frozen=True, kw_only=True)
class DivideByCount(ColumnOperator):
    """Does not think of few values."""

    less: int = 0

    def fit(self, column: str) -> Any:
        moments = yield Moments(column)
        return col(column) * (1 / (moments.count - self.less))


@dataclass(frozen=True, kw_only=True)
class DivideByRows(ColumnOperator):
    """Does not think of no rows."""

    def fit(self, column: str) -> Any:
        missing = yield Missing(column)
        return col(column) * (1 / missing.rows)


@pytest.mark.parametrize(
    ("operator", "case", "text"),
    [
        (DivideByCount(columns=A), "no values", "columns without values are defined"),
        (DivideByRows(columns=A), "no rows", "no rows are defined"),
        (DivideByCount(columns=A, less=1), "one row", "results of one row are defined"),
    ],
)
def test_few_rows(spark: SparkSession, operator: Operator, case: str, text: str) -> None:
    checks = Checks(Recipe(operator, keys=["id"], label="y"), TABLE, (), spark)
    with pytest.raises(AssertionError, match=f"{text}; but ZeroDivisionError"):
        checks.case(case)


@dataclass(frozen=True, kw_only=True)
class Hashed(ColumnOperator):
    """Right, unless the language is wrong."""

    def fit(self, column: str) -> Any:
        return function("hash", col(column))


def test_unseen(broken: Callable[..., None], redefine: Callable[..., None]) -> None:
    right = DEFINITIONS["hash"].arrow

    def known_only(strings: pa.Array) -> pa.Array:
        if not set(strings.to_pylist()) <= {"red", "green"}:
            raise KeyError(strings[0].as_py())
        return right(strings)

    redefine("hash", arrow=known_only)
    broken(Hashed(columns=WORD), "unseen categories are defined; but KeyError: 'never seen before'")


@dataclass(frozen=True, kw_only=True)
class Tuples(ColumnOperator):
    """Has a parameter that JSON changes."""

    edges: Sequence[float] = ()

    def fit(self, column: str) -> Any:
        return col(column)


def test_parameters(broken: Callable[..., None]) -> None:
    broken(Tuples(columns=A, edges=(1.0, 2.0)), r"parameters survive .* made of .*\[1.0, 2.0\]")


def test_refusals(broken: Callable[..., None]) -> None:
    pca = operators.PCA(columns=A, k=1)
    broken(pca, r"nulls are defined; but DATA_UNSUITABLE: .*\(if that is meant, say refuses=")
    scale = operators.Standardize(columns=A)
    broken(scale, "nulls are defined; but refuses= names this case", refuses=["null"])
    with pytest.raises(RecipeError, match="no case 'zeros'"):
        check_operator(scale, TABLE, refuses=["zeros"])
    with pytest.raises(RecipeError, match="at least 10 rows"):
        check_operator(scale, TABLE[:3])
