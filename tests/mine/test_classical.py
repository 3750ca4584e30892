"""Fitted expressions against Spark ML's own scores, and both against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.linear_model import LogisticRegression as ScikitLogisticRegression
from sklearn.tree import DecisionTreeClassifier

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import DecisionTree, ExpressionModel, LogisticRegression
from sparkmine.model import Model

FEATURES = ["spend", "visits", "pca", "member"]


def household_rows(rows: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(11)
    pca = random.normal(size=(rows, 2))
    table = pd.DataFrame(
        {
            "spend": random.gamma(2.0, 30.0, rows),
            "visits": random.integers(0, 9, rows),
            "pca": pca.tolist(),
            "member": random.random(rows) < 0.4,
        }
    )
    score = 0.02 * (table["spend"] - 60) + 0.4 * (table["visits"] - 4) + pca[:, 0] + table["member"]
    table["shops"] = (score + random.logistic(size=rows) > 0).astype(int)
    return table


def matrix(table: pd.DataFrame) -> np.ndarray:
    pca = np.array(table["pca"].tolist())
    return np.column_stack([table["spend"], table["visits"], pca, table["member"]]).astype(float)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return household_rows()


@pytest.fixture(scope="module")
def households(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(table).cache()


def scores(model: ExpressionModel, df: DataFrame) -> np.ndarray:
    """Predictions by Spark; those on Arrow must be the same."""
    scored = model.transform(df)
    predictions = scored.select("prediction").toPandas()["prediction"].to_numpy()
    on_arrow = model.evaluate(df.toArrow()).to_numpy(zero_copy_only=False)
    np.testing.assert_allclose(on_arrow, predictions, rtol=1e-12)
    return np.asarray(predictions)


def spark_ml_rows(df: DataFrame) -> DataFrame:
    """The features assembled by Spark ML itself."""
    from pyspark.ml.feature import VectorAssembler
    from pyspark.sql import functions as F

    single = df.withColumns({f"pca{n}": F.get("pca", F.lit(n)) for n in range(2)})
    names = ["spend", "visits", "pca0", "pca1", "member"]
    return VectorAssembler(inputCols=names, outputCol="features").transform(single)


def test_logistic_regression(
    spark: SparkSession, households: DataFrame, table: pd.DataFrame, tmp_path: Path
) -> None:
    from pyspark.ml.classification import LogisticRegression as SparkLogisticRegression
    from pyspark.ml.functions import vector_to_array

    config = LogisticRegression(l2=0.05, standardize=False, tolerance=1e-10)
    model = config.fit(households, FEATURES, "shops")
    found = scores(model, households)

    rows = spark_ml_rows(households)
    theirs = SparkLogisticRegression(
        regParam=0.05, standardization=False, tol=1e-10, labelCol="shops", family="binomial"
    ).fit(rows)
    probability = vector_to_array("probability")[1]
    expected = theirs.transform(rows).select(probability.alias("p")).toPandas()["p"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)

    # scikit-learn minimises C * summed log loss + |w|^2 / 2.
    scikit = ScikitLogisticRegression(C=1 / (0.05 * len(table)), tol=1e-10, max_iter=10_000)
    scikit.fit(matrix(table), table["shops"])
    np.testing.assert_allclose(
        found, scikit.predict_proba(matrix(table))[:, 1], rtol=1e-3, atol=1e-4
    )
    assert list(model.details["coefficients"]) == ["spend", "visits", "pca[0]", "pca[1]", "member"]

    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert isinstance(loaded, ExpressionModel)
    assert loaded.details == model.details
    np.testing.assert_array_equal(scores(loaded, households), found)
    plan = model.transform(households)._jdf.queryExecution().executedPlan().toString()
    assert "Python" not in plan and "UDF" not in plan


def test_absolute_penalty_drops_features(households: DataFrame) -> None:
    model = LogisticRegression(l1=0.1).fit(households, FEATURES, "shops")
    weights = model.details["coefficients"]
    kept = {name for name, weight in weights.items() if weight}
    assert kept and len(kept) < len(weights)
    assert model.expression.columns == {name.partition("[")[0] for name in kept}


def test_decision_tree(households: DataFrame, table: pd.DataFrame) -> None:
    from pyspark.ml.regression import DecisionTreeRegressor

    # As many buckets as rows: every midpoint is a candidate, as in scikit-learn.
    config = DecisionTree(max_depth=4, min_rows=5, max_buckets=len(table))
    model = config.fit(households, FEATURES, "shops")
    found = scores(model, households)

    rows = spark_ml_rows(households)
    theirs = DecisionTreeRegressor(
        maxDepth=4, minInstancesPerNode=5, maxBins=len(table), labelCol="shops", seed=0
    ).fit(rows)
    expected = theirs.transform(rows).select("prediction").toPandas()["prediction"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)

    scikit = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, random_state=0)
    scikit.fit(matrix(table), table["shops"])
    np.testing.assert_allclose(found, scikit.predict_proba(matrix(table))[:, 1], rtol=1e-9)


def test_tree_goes_left_at_the_threshold(spark: SparkSession) -> None:
    rows = [(0.0, 0), (1.0, 0), (3.0, 1), (4.0, 1)]
    df = spark.createDataFrame(rows, "x double, y int")
    model = DecisionTree(max_depth=1).fit(df, ["x"], "y")
    unseen = [(1.9,), (2.0,), (2.1,), (None,), (float("nan"),)]
    scored = model.transform(spark.createDataFrame(unseen, "x double")).collect()
    assert [row["prediction"] for row in scored] == [0.0, 0.0, 1.0, None, None]


def test_missing_values_are_named(spark: SparkSession) -> None:
    rows = [
        (1.0, [1.0, 2.0], 0),
        (None, [1.0, float("nan")], 1),
        (float("inf"), [1.0, 2.0], 1),
    ]
    df = spark.createDataFrame(rows, "x double, `p.c` array<double>, y int")
    with pytest.raises(DataError, match=r"among 3 rows in x \(2 rows\), p\.c \(1 rows\)"):
        LogisticRegression().fit(df, ["x", "p.c"], "y")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([(1.0, [1.0], 1.0), (2.0, [1.0], 1.0)], "label y is 1 in all 2 rows"),
        ([(1.0, [1.0], 1.0), (2.0, [1.0], 0.5)], "neither 0 nor 1 in 1 of 2 rows"),
        ([(1.0, [1.0], 1.0), (2.0, [1.0], None)], "neither 0 nor 1 in 1 of 2 rows"),
        ([(1.0, [1.0], 1.0), (2.0, [1.0, 2.0], 0.0)], "arrays in a have 1 to 2 elements"),
    ],
)
def test_unsuitable_rows(spark: SparkSession, rows: list[tuple[object, ...]], message: str) -> None:
    df = spark.createDataFrame(rows, "x double, a array<double>, y double")
    with pytest.raises(DataError, match=message):
        DecisionTree().fit(df, ["x", "a"], "y")


def test_unsuitable_columns(spark: SparkSession) -> None:
    df = spark.createDataFrame([("a", 1.0, 0)], "s string, x double, y int")
    for features, message in [
        (["s"], "column s is string"),
        (["z"], "no column z"),
        (["x", "x"], "name x twice"),
        (["x", "y"], "the label y twice"),
        ([], "no features"),
    ]:
        with pytest.raises(ConfigError, match=message):
            LogisticRegression().fit(df, features, "y")
    with pytest.raises(ConfigError, match="max_depth"):
        DecisionTree(max_depth=13)
    with pytest.raises(ConfigError, match="l2"):
        LogisticRegression(l2=float("nan"))


@pytest.mark.slow
def test_many_features_do_not_overflow_the_planner(spark: SparkSession) -> None:
    random = np.random.default_rng(5)
    wide = random.normal(size=(60, 250))
    labels = (wide[:, 0] > 0).astype(int)
    df = spark.createDataFrame(pd.DataFrame({"x": wide.tolist(), "y": labels}))
    model = LogisticRegression(l2=1.0, max_iterations=5).fit(df, ["x"], "y")
    assert np.isfinite(scores(model, df)).all()
