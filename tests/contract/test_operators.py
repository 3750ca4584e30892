"""The contract that every operator keeps: Spark and Arrow agree, nothing depends on partitioning,
saving and loading changes nothing, and awkward columns are defined. All operators go into one
recipe per case, so that the suite stays quick."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import ModelError, RecipeError
from sparkmine.recipe import FittedRecipe, Operator, Recipe, operators
from sparkmine.recipe.selectors import select, starts_with

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(5)


def table(rows: int, hole: str) -> pa.Table:
    """Numbers and categories with one kind of hole in every fifth row."""

    def holed(values: list[Any], value: Any) -> list[Any]:
        return [value if i % 5 == 0 and hole else v for i, v in enumerate(values)]

    number = {"": 0.0, "null": None, "nan": NAN, "inf": INF, "-inf": -INF}[hole]
    words = RNG.choice(["red", "green", "deep blue", "Deep-Blue"], rows, p=[0.5, 0.3, 0.1, 0.1])
    days = np.datetime64("1999-12-25") + RNG.integers(0, 9000, max(rows, 1))[:rows]
    first = datetime.date(1999, 12, 31)
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "a": pa.array(holed(RNG.normal(5, 2, rows).tolist(), number), pa.float64()),
            "b": pa.array(holed(np.exp(RNG.normal(0, 2, rows)).tolist(), number), pa.float64()),
            "i": pa.array(RNG.integers(-3, 3, rows), pa.int64()),
            "constant": pa.array([2.5] * rows),
            "empty": pa.array([None] * rows, pa.float64()),
            "bare": pa.array([None] * rows, pa.string()),
            "word": pa.array(holed(words.tolist(), None if hole else "red"), pa.string()),
            "flag": pa.array(RNG.random(rows) < 0.5),
            **{f"p{j}": pa.array(RNG.random(rows)) for j in range(4)},
            **{f"q{j}": pa.array(holed(RNG.random(rows).tolist(), number)) for j in range(2)},
            "qv": pa.array(holed([[float(i), None] for i in range(rows)], None)),
            "day": pa.array(holed(days.tolist(), None if hole else first), pa.date32()),
            "moment": pa.array(
                [day * 86_399_999_999 for day in range(-rows, rows, 2)], pa.timestamp("us", "UTC")
            ),
            "tags": pa.array(
                holed([["new", None, "Sale!"][: i % 4] for i in range(rows)], None),
                pa.list_(pa.string()),
            ),
            "y": pa.array(RNG.integers(0, 2, rows), pa.int64()),
        }
    )


NUMBERS = select("a", "b", "i", "constant", "empty")


def adding() -> list[Operator]:
    """Operators that write columns of their own and leave their sources, family by family."""
    return [
        operators.MissingIndicator(columns=NUMBERS, output="{}_missing"),
        operators.ImputeMean(columns=select("a"), output="{}_mean"),
        operators.ImputeMode(columns=NUMBERS | select("word", "flag"), output="{}_mode"),
        operators.ImputeByGroup(columns=NUMBERS, by="word", output="{}_by_word"),
        operators.LogTransform(columns=select("b"), output="{}_log"),
        operators.Clip(columns=select("b"), output="{}_clipped"),
        operators.Clip(columns=NUMBERS, method="iqr", output="{}_iqr"),
        operators.OutlierIndicator(columns=NUMBERS, method="zscore"),
        operators.Standardize(columns=NUMBERS, output="{}_z"),
        operators.MinMaxScale(columns=NUMBERS, output="{}_share"),
        operators.MaxAbsScale(columns=NUMBERS, output="{}_size"),
        operators.RobustScale(columns=NUMBERS, output="{}_robust"),
        operators.PowerTransform(columns=NUMBERS, output="{}_normal"),
        operators.QuantileTransform(columns=NUMBERS, quantiles=10, output="{}_uniform"),
        operators.BucketizeQuantile(columns=NUMBERS, buckets=4, output="{}_bucket"),
        operators.BucketizeWidth(columns=NUMBERS, buckets=4, output="{}_part"),
        operators.BucketizeAt(columns=NUMBERS, edges=[-1, 0.5, 5], output="{}_at"),
        operators.DateParts(
            columns=select("day", "moment"), parts=["year", "weekday", "hour"], keep_source=True
        ),
        operators.CyclicDate(columns=select("moment"), period="hour", keep_source=True),
        operators.TimeSince(columns=select("day", "moment"), since="2020-01-01", unit="hours"),
        operators.TimeSince(columns=select("day"), since_column="moment", output="{}_wait"),
        operators.Expression(expression="a / i + pow(b, 0.5)", output="ratio"),
        operators.FrequencyEncode(columns=select("word", "flag", "bare"), output="{}_share"),
        operators.TargetEncode(columns=select("word", "flag", "bare", "i"), output="{}_mean_y"),
        operators.HashEncode(columns=select("word", "flag", "i"), buckets=5, output="{}_hash"),
        operators.OrdinalIndex(columns=select("word", "i", "bare"), output="{}_index"),
        operators.Cross(columns=select("word", "flag"), output="word_flag"),
        operators.HashTfIdf(columns=select("word"), dims=8),
        operators.Assemble(columns=starts_with("q"), output="vector"),
    ]


def replacing() -> list[Operator]:
    """Operators that replace or remove their sources."""
    return [
        operators.DropSparseColumns(columns=select("bare"), max_missing=0.5),
        operators.ImputeMedian(columns=NUMBERS),
        operators.ImputeConstant(columns=select("word"), value="none"),
        operators.OneHot(columns=select("word", "flag"), top_k=3),
        operators.MultiHot(top_k=3),
        operators.PCA(columns=starts_with("p"), k=2),
        operators.SelectVariance(columns=select("a", "constant", "empty")),
        operators.SelectKBest(columns=select("b", "i"), k=1),
        operators.SelectKBest(columns=select("a_z", "b_z", "i_z"), k=1, score="mutual_information"),
        operators.SelectKBest(columns=select("a_at", "b_at", "i_at"), k=2, score="chi2"),
        operators.SelectCorrelation(columns=select("i_share", "i_size")),
    ]


def everything() -> Recipe:
    return Recipe(*adding(), *replacing(), keys=["id"], label="y")


def test_the_contract_covers_every_operator() -> None:
    used = {type(operator).__name__ for operator in everything().operators}
    assert used == set(operators.__all__)


def rows_of(found: pa.Table) -> list[dict[str, Any]]:
    return sorted(found.to_pylist(), key=lambda row: row["id"])


def assert_same(left: pa.Table, right: pa.Table) -> None:
    assert left.schema.names == right.schema.names
    for one, other in zip(rows_of(left), rows_of(right), strict=True):
        for name, value in one.items():
            assert close(value, other[name]), (name, value, other[name])


def close(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return (
            (math.isnan(a) and math.isnan(b))
            or a == b
            or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
        )
    return bool(a == b)


@pytest.mark.parametrize("hole", ["", "null", "nan", "inf", "-inf"])
def test_spark_and_arrow_agree(spark: SparkSession, tmp_path: Path, hole: str) -> None:
    data = table(60, hole)
    fitted = everything().fit(spark.createDataFrame(data))
    native = fitted.transform(spark.createDataFrame(data))
    fitted.save(tmp_path / "recipe")
    loaded = FittedRecipe.load(tmp_path / "recipe")
    assert loaded.describe() == fitted.describe()
    expected = native.toArrow()
    assert expected.schema.names == fitted.outputs
    assert_same(expected, loaded.transform_arrow(data))
    # New rows: an unseen category, and a column of a kind of hole that the fit did not see.
    at = data.schema.get_field_index("word")
    fresh = table(10, "null").set_column(at, "word", pa.array(["never seen"] * 10))
    assert_same(
        fitted.transform(spark.createDataFrame(fresh)).toArrow(), loaded.transform_arrow(fresh)
    )


def test_any_partitioning_gives_the_same_values(spark: SparkSession) -> None:
    frame = spark.createDataFrame(table(200, "null"))
    fits = [everything().fit(frame.repartition(n)) for n in (1, 2, 3, 7)]
    for other in fits[1:]:
        for one, two in zip(fits[0].describe(), other.describe(), strict=True):
            assert one["outputs"] == two["outputs"] and one["dropped"] == two["dropped"]
    data = table(50, "null")
    for other in fits[1:]:
        assert_same(fits[0].transform_arrow(data), other.transform_arrow(data))


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_one_row(spark: SparkSession, rows: int) -> None:
    recipe = Recipe(
        *[o for o in everything().operators if not isinstance(o, operators.PCA)],
        keys=["id"],
        label="y",
    )
    data = table(rows, "")
    fitted = recipe.fit(spark.createDataFrame(data, None if rows else schema_of(spark)))
    fresh = table(3, "")
    native = fitted.transform(spark.createDataFrame(fresh)).toArrow()
    assert_same(native, fitted.transform_arrow(fresh))


def schema_of(spark: SparkSession) -> Any:
    return spark.createDataFrame(table(1, "")).schema


def test_native_operators_put_no_python_into_the_plan(spark: SparkSession) -> None:
    recipe = Recipe(
        *[
            o
            for o in everything().operators
            if not isinstance(o, operators.PCA | operators.HashTfIdf)
        ],
        keys=["id"],
        label="y",
    )
    frame = spark.createDataFrame(table(60, "null"))
    # Written out, because an in-memory frame from Arrow is itself read by Python.
    plan = recipe.fit(frame).transform(frame)._jdf.queryExecution().toString()
    assert "Python" not in plan and "MapInArrow" not in plan


def test_scans_are_as_planned(spark: SparkSession) -> None:
    frame = spark.createDataFrame(table(60, "null"))
    planned = everything().plan(frame.schema)
    fitted = everything().fit(frame)
    assert f"{planned.count('(1 scan)')} scans" in planned
    # One more scan may refine a quantile; the data has bins that need it.
    assert planned.count("(1 scan)") <= fitted.scans <= planned.count("(1 scan)") + 6


def test_a_user_operator_needs_no_change_of_the_package(spark: SparkSession) -> None:
    from dataclasses import dataclass

    from sparkmine.expr import col
    from sparkmine.recipe import ColumnOperator
    from sparkmine.stats import Moments

    @dataclass(frozen=True, kw_only=True)
    class ScaleByMaximum(ColumnOperator):
        """Divide by the largest value."""

        def fit(self, column: str) -> Any:
            moments = yield Moments(column)
            return col(column) / moments.maximum

    fitted = Recipe(ScaleByMaximum(columns=select("i")), keys=["id"]).fit(
        spark.createDataFrame(table(30, ""))
    )
    assert max(fitted.transform_arrow(table(30, "")).column("i").to_pylist()) <= 1.5


def test_a_changed_file_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    recipe = Recipe(operators.Standardize(columns=select("a")), keys=["id"])
    recipe.fit(spark.createDataFrame(table(30, ""))).save(tmp_path / "r")
    file = tmp_path / "r" / "recipe.json"
    file.write_text(file.read_text().replace("Standardize", "Standardise"))
    with pytest.raises(ModelError, match="changed"):
        FittedRecipe.load(tmp_path / "r")
    with pytest.raises(ModelError, match=r"manifest\.json"):
        FittedRecipe.load(tmp_path)


def test_a_subclass_without_fit_cannot_be_made() -> None:
    class Forgotten(Operator):
        """Forgets `fitting`."""

    with pytest.raises(TypeError, match="abstract"):
        Forgotten()  # type: ignore[abstract]
    with pytest.raises(RecipeError, match="0 <= low"):
        operators.Clip(low=0.9, high=0.1)
