"""Baselines and ensembles against values worked out by hand and by NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import col, lit
from sparkmine.mine import (
    Averaging,
    ClassModel,
    Constant,
    ExpressionModel,
    MajorityClass,
    Persistence,
    SingleRule,
    StratifiedRandom,
    Voting,
)
from sparkmine.mine.combined import CombinedModel
from sparkmine.model import Model

# Last week, label, and the probabilities of three members.
ROWS = [
    (1, True, 0.9, 0.4, 0.5),
    (0, False, 0.2, 0.6, 0.1),
    (1, True, 0.7, 0.8, 0.6),
    (0, True, 0.5, 0.1, 0.3),
]


@pytest.fixture(scope="module")
def weeks(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, "shopped int, y boolean, a double, b double, c double")


def both(model: ExpressionModel, df: DataFrame) -> list[float | None]:
    """Predictions by Spark, checked against those on Arrow."""
    scored = model.transform(df)
    assert dict(scored.dtypes)[model.output] == "double"
    found = [row[model.output] for row in scored.collect()]
    assert model.evaluate(df.toArrow()).to_pylist() == pytest.approx(found)
    return found


def test_majority_class(weeks: DataFrame, tmp_path: Path) -> None:
    model = MajorityClass().fit(weeks, "y")
    assert both(model, weeks) == [0.75] * 4
    model.save(tmp_path / "majority")
    loaded = ExpressionModel.load(tmp_path / "majority")
    assert both(loaded, weeks.select("a")) == [0.75] * 4


def test_persistence(spark: SparkSession, weeks: DataFrame) -> None:
    model = Persistence(column="shopped").fit(weeks, "y", spark=spark)
    assert both(model, weeks) == [1.0, 0.0, 1.0, 0.0]
    assert both(model, spark.createDataFrame([(None,), (1,)], "shopped int")) == [None, 1.0]
    with pytest.raises(DataError, match="a is null or neither 0 nor 1 in 4 of 4 rows"):
        Persistence(column="a").fit(weeks)
    with pytest.raises(ConfigError, match="no column z"):
        Persistence(column="z").fit(weeks)
    with pytest.raises(ConfigError, match="no column shopped"):
        model.transform(weeks.drop("shopped"))


def test_persistence_of_numbers_and_of_several_classes(spark: SparkSession) -> None:
    df = spark.createDataFrame(
        [(1.5, 2, 2), (-3.0, 0, 1), (0.0, 1, 0)], "sales double, c int, y int"
    )
    assert both(Persistence(column="sales", task="regression").fit(df), df) == [1.5, -3.0, 0.0]
    holes = df.union(spark.createDataFrame([(None, 1, 1), (float("nan"), 3, 1)], df.schema))
    with pytest.raises(DataError, match="sales is null, NaN or infinite in 2 of 5 rows"):
        Persistence(column="sales", task="regression").fit(holes)
    last = Persistence(column="c", task="multiclass").fit(df, "y")
    classes, shares = of_classes(last, holes)
    assert classes == [2, 0, 1, 1, None]
    assert shares == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0], None]
    of_arrow = last.transform_arrow(holes.toArrow())
    assert of_arrow["prediction"].to_pylist() == classes
    with pytest.raises(DataError, match="none of the classes 0 to 2 of the label in 1 rows"):
        Persistence(column="c", task="multiclass").fit(holes, "y")
    with pytest.raises(ConfigError, match="needs the label"):
        Persistence(column="c", task="multiclass").fit(df)


def test_baselines_need_rows(weeks: DataFrame) -> None:
    with pytest.raises(DataError, match="no rows"):
        MajorityClass().fit(weeks.limit(0), "y")


def test_averaging_and_voting(weeks: DataFrame) -> None:
    members = ("a", "b", "c")
    probabilities = pd.DataFrame(ROWS).iloc[:, 2:].to_numpy(float)
    mean = both(Averaging(members=members).model(), weeks)
    np.testing.assert_allclose(mean, probabilities.mean(axis=1), rtol=1e-12)
    weights = (3.0, 1.0, 0.5)
    weighted = both(Averaging(members=members, weights=weights).model(), weeks)
    expected = np.average(probabilities, axis=1, weights=weights)
    np.testing.assert_allclose(weighted, expected, rtol=1e-12)
    assert both(Voting(members=members).model(), weeks) == pytest.approx([2 / 3, 1 / 3, 1.0, 1 / 3])
    assert both(Voting(members=members, threshold=0.9).model(), weeks) == pytest.approx(
        [1 / 3, 0.0, 0.0, 0.0]
    )


def test_a_missing_member_leaves_no_prediction(spark: SparkSession) -> None:
    rows = [(0.2, None), (float("nan"), 0.5), (0.5, 1.0)]
    df = spark.createDataFrame(rows, "a double, b double")
    members = ("a", "b")
    assert both(Averaging(members=members).model(), df) == [None, None, 0.75]
    assert both(Voting(members=members).model(), df) == [None, None, 1.0]


def of_classes(model: Model, df: DataFrame) -> tuple[list[int | None], list[list[float] | None]]:
    scored = model.transform(df)
    kinds = dict(scored.dtypes)
    assert (kinds["prediction"], kinds["probability"]) == ("int", "array<double>")
    rows = scored.select("prediction", "probability").collect()
    return [row.prediction for row in rows], [row.probability for row in rows]


def test_several_classes(spark: SparkSession, tmp_path: Path) -> None:
    rows = [
        (1, [0.2, 0.5, 0.3], [0.6, 0.1, 0.3]),
        (2, [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]),
        (2, [0.4, 0.4, 0.2], [0.3, 0.3, 0.4]),
        (0, None, [1.0, 0.0, 0.0]),
    ]
    df = spark.createDataFrame(rows, "y int, a array<double>, b array<double>")
    members = ("a", "b")
    predicted, found = of_classes(Averaging(members=members).model(classes=3), df)
    assert predicted == [0, 2, 0, None]  # of equal ones the first
    means = [(np.array(a) + b) / 2 for _, a, b in rows[:3]]
    np.testing.assert_allclose(np.array(found[:3]), means, rtol=1e-12)
    assert found[3] is None
    voting = Voting(members=members).model(classes=3)
    voting.save(tmp_path / "voting")
    predicted, found = of_classes(Model.load(tmp_path / "voting"), df)
    assert found == [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.5], None]
    assert predicted == [0, 2, 0, None]

    majority = MajorityClass(task="multiclass").fit(df, "y")
    assert of_classes(majority, df) == ([2] * 4, [[0.25, 0.25, 0.5]] * 4)
    many = spark.range(3000).selectExpr("id", "cast(least(id % 5, 2) as int) as y")
    guess = StratifiedRandom(keys=["id"], task="multiclass").fit(many, "y")
    counts = np.bincount(of_classes(guess, many)[0])
    np.testing.assert_allclose(counts / 3000, [0.2, 0.2, 0.6], atol=5 * np.sqrt(0.24 / 3000))
    for bad in (0.5, -1.0, None):
        wrong = df.select("y").union(spark.createDataFrame([(bad,)], "y double"))
        with pytest.raises(DataError, match="no whole number"):
            MajorityClass(task="multiclass").fit(wrong, "y")


def test_a_combined_model_hands_on_probabilities(spark: SparkSession, tmp_path: Path) -> None:
    df = spark.createDataFrame([(0.5,), (0.25,)], "x double")
    first = ClassModel(expressions=(col("x"), 1.0 - col("x")))
    second = ClassModel(expressions=(lit(0.0), lit(1.0)))
    combined = CombinedModel(
        combiner=Averaging(("one", "two")).model(classes=2),
        members={"one": first, "two": second},
    )
    combined.save(tmp_path / "combined")
    scored = Model.load(tmp_path / "combined").transform(df)
    assert scored.columns == ["x", "prediction", "probability"]
    assert of_classes(combined, df) == ([1, 1], [[0.25, 0.75], [0.125, 0.875]])


def test_bad_ensembles() -> None:
    with pytest.raises(ConfigError, match="one or more"):
        Averaging(members=())
    with pytest.raises(ConfigError, match="twice"):
        Voting(members=("a", "a"))
    with pytest.raises(ConfigError, match="2 weights for 1"):
        Averaging(members=("a",), weights=(1.0, 2.0))
    with pytest.raises(ConfigError, match="0 or more"):
        Averaging(members=("a", "b"), weights=(0.0, 0.0))
    with pytest.raises(ConfigError, match="threshold"):
        Voting(members=("a",), threshold=1.5)


def test_stratified_random_guesses_have_the_shares_of_the_classes(spark: SparkSession) -> None:
    rows = pd.DataFrame({"id": np.arange(20_000), "day": "monday", "y": np.arange(20_000) % 10 < 3})
    df = spark.createDataFrame(rows)
    model = StratifiedRandom(keys=["id", "day"], seed=4).fit(df, "y")
    found = np.array(both(model, df))
    assert set(found) == {0.0, 1.0}
    # Five standard deviations of a share of 0.3 among 20,000, and of its correlation with y.
    assert abs(found.mean() - 0.3) < 5 * np.sqrt(0.21 / 20_000)
    assert abs(np.corrcoef(found, rows.y)[0, 1]) < 5 / np.sqrt(20_000)
    other = np.array(both(StratifiedRandom(keys=["id", "day"], seed=5).fit(df, "y"), df))
    assert abs(np.corrcoef(found, other)[0, 1]) < 5 / np.sqrt(20_000)
    unknown = df.limit(1).selectExpr("cast(null as bigint) as id", "day", "y")
    assert both(model, unknown)[0] in (0.0, 1.0)
    with pytest.raises(ConfigError, match="needs keys"):
        StratifiedRandom(keys=[]).fit(df, "y")


def test_mean_and_median_of_a_regression(spark: SparkSession) -> None:
    df = spark.createDataFrame([(1.0,), (2.0,), (10.0,), (3.0,)], "y double")
    assert both(Constant().fit(df, "y"), df) == [4.0] * 4
    assert both(Constant(statistic="median").fit(df, "y"), df) == [2.5] * 4
    holes = df.union(spark.createDataFrame([(None,), (float("nan"),)], "y double"))
    with pytest.raises(DataError, match="in 2 of 6 rows"):
        Constant().fit(holes, "y")
    with pytest.raises(DataError, match="no rows"):
        Constant().fit(df.where("y > 99"), "y")
    with pytest.raises(ConfigError, match="mean or median"):
        Constant(statistic="mode").fit(df, "y")  # type: ignore[arg-type]


def test_the_single_best_rule_is_the_best_of_all_thresholds(spark: SparkSession) -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({name: generator.integers(0, 40, 600) * 1.0 for name in "abc"})
    rows["y"] = ((rows.b > 25) ^ (generator.random(600) < 0.15)).astype(int)
    df = spark.createDataFrame(rows)
    found = np.array(both(SingleRule().fit(df, ["a", "b", "c"], "y"), df))

    def impurity(column: str, threshold: float) -> float:
        sides = [rows.y[rows[column] <= threshold], rows.y[rows[column] > threshold]]
        return sum(len(side) * side.mean() * (1 - side.mean()) for side in sides if len(side))

    choices = [(column, value) for column in "abc" for value in sorted(set(rows[column]))[:-1]]
    column, threshold = min(choices, key=lambda choice: impurity(*choice))
    left = rows[column] <= threshold
    expected = np.where(left, rows.y[left].mean(), rows.y[~left].mean())
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_single_best_rule_of_numbers_and_of_several_classes(spark: SparkSession) -> None:
    generator = np.random.default_rng(1)
    rows = pd.DataFrame({name: generator.integers(0, 40, 600) * 1.0 for name in "ab"})
    rows["number"] = 3 * (rows.b > 25) + generator.normal(size=600)
    rows["kind"] = np.where(rows.a > 9, generator.choice([0, 2], 600), 1)
    df = spark.createDataFrame(rows)
    matrix = rows[["a", "b"]].to_numpy()
    found = both(SingleRule(task="regression").fit(df, ["a", "b"], "number"), df)
    wanted = DecisionTreeRegressor(max_depth=1).fit(matrix, rows.number).predict(matrix)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    rule = SingleRule(task="multiclass").fit(df, ["a", "b"], "kind")
    assert rule.details["method"] == "single_rule"  # type: ignore[attr-defined]
    stump = DecisionTreeClassifier(max_depth=1).fit(matrix, rows.kind)
    np.testing.assert_allclose(of_classes(rule, df)[1], stump.predict_proba(matrix), rtol=1e-9)
