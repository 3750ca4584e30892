"""All of sparkmine's operators keep the promises of `sparkmine.testing`. They go into few recipes,
so that the suite stays quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import ModelError, RecipeError
from sparkmine.recipe import FittedRecipe, Operator, Recipe, operators
from sparkmine.recipe.selectors import select, starts_with
from sparkmine.testing import check_recipe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(5)


def table(rows: int) -> pa.Table:
    """Numbers, categories, dates and lists, some of them constant or without values."""
    words = RNG.choice(["red", "green", "deep blue", "Deep-Blue"], rows, p=[0.5, 0.3, 0.1, 0.1])
    days = np.datetime64("1999-12-25") + RNG.integers(0, 9000, rows)
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "a": pa.array(RNG.normal(5, 2, rows)),
            "b": pa.array(np.exp(RNG.normal(0, 2, rows))),
            "i": pa.array(RNG.integers(-3, 3, rows), pa.int64()),
            "constant": pa.array([2.5] * rows),
            "empty": pa.array([None] * rows, pa.float64()),
            "bare": pa.array([None] * rows, pa.string()),
            "word": pa.array(words.tolist()),
            "flag": pa.array(RNG.random(rows) < 0.5),
            **{f"p{j}": pa.array(RNG.random(rows)) for j in range(4)},
            **{f"q{j}": pa.array(RNG.random(rows)) for j in range(2)},
            "qv": pa.array([[float(i), None] for i in range(rows)]),
            "day": pa.array(days),
            "moment": pa.array(
                [day * 86_399_999_999 for day in range(-rows, rows, 2)], pa.timestamp("us", "UTC")
            ),
            "tags": pa.array([["new", None, "Sale!"][: i % 4] for i in range(rows)]),
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
        operators.TfIdf(columns=select("word", "bare"), output="{}_terms", top_k=3),
        operators.TokenSequence(columns=select("word", "bare"), length=1),
        operators.Assemble(columns=select("p2", "p3"), output="joined", as_vector=True),
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
        operators.SelectVariance(columns=select("a", "constant", "empty")),
        operators.SelectKBest(columns=select("b", "i"), k=1),
        operators.SelectKBest(columns=select("a_z", "b_z", "i_z"), k=1, score="mutual_information"),
        operators.SelectKBest(columns=select("a_at", "b_at", "i_at"), k=2, score="chi2"),
    ]


def everything() -> Recipe:
    return Recipe(*adding(), *replacing(), keys=["id"], label="y")


def dense() -> Recipe:
    """Operators that refuse holes, behind operators that close them."""
    columns = select("a", "p0", "p1", "p2", "p3", "constant")
    return Recipe(
        operators.ImputeMedian(columns=columns),
        operators.Clip(columns=columns),
        operators.MaxAbsScale(columns=select("a"), output="{}_size"),
        operators.SelectCorrelation(columns=select("a", "a_size", "constant")),
        operators.PCA(columns=starts_with("p"), k=2),
        keys=["id"],
        label="y",
    )


def test_the_contract_covers_every_operator() -> None:
    used = {
        type(operator).__name__
        for recipe in (everything(), dense())
        for operator in recipe.operators
    }
    assert used == set(operators.__all__)


def test_every_operator_keeps_the_promises(spark: SparkSession) -> None:
    check_recipe(everything(), table(60), spark=spark)


def test_operators_that_refuse_holes_keep_the_promises(spark: SparkSession) -> None:
    check_recipe(dense(), table(60), refuses=["no rows"], spark=spark)


def test_scans_are_as_planned(spark: SparkSession) -> None:
    frame = spark.createDataFrame(table(60))
    planned = everything().plan(frame.schema)
    fitted = everything().fit(frame)
    assert fitted.transform(frame).columns == fitted.outputs
    assert f"\n{planned.count('(1 scan)')} scans of the table" in planned
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
        spark.createDataFrame(table(30))
    )
    assert max(fitted.transform_arrow(table(30)).column("i").to_pylist()) <= 1.5


def test_a_changed_file_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    recipe = Recipe(operators.Standardize(columns=select("a")), keys=["id"])
    recipe.fit(spark.createDataFrame(table(30))).save(tmp_path / "r")
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
