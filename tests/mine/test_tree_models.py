"""Trees, forests and boosted trees against Spark ML's own scores and scikit-learn's quality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn import ensemble, tree
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

from sparkmine.errors import ConfigError
from sparkmine.mine import DecisionTree, GradientBoostedTrees, RandomForest, TreesModel
from sparkmine.model import Model


def frame(spark: SparkSession, data: np.ndarray, labels: np.ndarray) -> DataFrame:
    """Every fourth row is for tests."""
    table = pd.DataFrame({"id": np.arange(len(data)), "x": data.tolist(), "y": labels})
    table["train"] = table["id"] % 4 > 0
    return spark.createDataFrame(table).repartition(2).cache()


@pytest.fixture(scope="module")
def digits(spark: SparkSession) -> DataFrame:
    data = load_digits()
    return frame(spark, data.data[:800], data.target[:800])


@pytest.fixture(scope="module")
def cancer(spark: SparkSession) -> DataFrame:
    data = load_breast_cancer()
    return frame(spark, data.data[:, :12], data.target)


@pytest.fixture(scope="module")
def diabetes(spark: SparkSession) -> DataFrame:
    data = load_diabetes()
    return frame(spark, data.data, data.target)


class Split:
    """The same rows for Spark and for scikit-learn."""

    def __init__(self, df: DataFrame) -> None:
        from pyspark.ml.functions import array_to_vector

        self.train, self.test = df.where("train"), df.where("not train")
        table = df.orderBy("id").toPandas()
        data, labels, learnt = np.array(table["x"].tolist()), table["y"].to_numpy(), table["train"]
        self.x, self.y = data[learnt], labels[learnt]
        self.new_x, self.new_y = data[~learnt], labels[~learnt]
        vectors = df.select(
            "id", "train", array_to_vector("x").alias("features"), df["y"].alias("label")
        )
        self.vectors, self.new_vectors = vectors.where("train"), vectors.where("not train")

    def predicted(self, model: Model) -> np.ndarray:
        """The scores of the test rows; those on Arrow must be the same."""
        scored = model.transform(self.test).orderBy("id").toPandas()
        arrow = model.evaluate(self.test.orderBy("id").toArrow())
        if "probability" not in scored:
            found = scored["prediction"].to_numpy()
            np.testing.assert_allclose(arrow.to_numpy(zero_copy_only=False), found, rtol=1e-12)
            return found
        found = np.array(scored["probability"].tolist())
        np.testing.assert_array_equal(scored["prediction"], found.argmax(axis=1))
        np.testing.assert_allclose(arrow.field("probability").to_pylist(), found, rtol=1e-12)
        return found

    def by_spark_ml(self, fitted: object, output: str = "prediction") -> np.ndarray:
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql import functions as F

        scored = fitted.transform(self.new_vectors).orderBy("id")
        if output == "probability":
            scored = scored.withColumn(output, vector_to_array(F.col(output)))
        return np.array(scored.toPandas()[output].tolist())


def test_multiclass_tree(digits: DataFrame) -> None:
    from pyspark.ml.classification import DecisionTreeClassifier

    split = Split(digits)
    config = DecisionTree(task="multiclass", max_depth=7, min_rows=3)
    model = config.fit(split.train, ["x"], "y", seed=1)
    found = split.predicted(model)
    theirs = DecisionTreeClassifier(maxDepth=7, minInstancesPerNode=3, seed=1).fit(split.vectors)
    np.testing.assert_allclose(found, split.by_spark_ml(theirs, "probability"), rtol=1e-9)
    scikit = tree.DecisionTreeClassifier(max_depth=7, min_samples_leaf=3, random_state=0)
    peer = accuracy_score(split.new_y, scikit.fit(split.x, split.y).predict(split.new_x))
    assert accuracy_score(split.new_y, found.argmax(axis=1)) > peer - 0.04


def test_regression_tree(diabetes: DataFrame) -> None:
    from pyspark.ml.regression import DecisionTreeRegressor

    split = Split(diabetes)
    # As many buckets as rows: every midpoint is a candidate, as in scikit-learn.
    config = DecisionTree(task="regression", max_depth=4, min_rows=10, max_buckets=len(split.y))
    model = config.fit(split.train, ["x"], "y")
    found = split.predicted(model)
    theirs = DecisionTreeRegressor(
        maxDepth=4, minInstancesPerNode=10, maxBins=len(split.y), seed=0
    ).fit(split.vectors)
    np.testing.assert_allclose(found, split.by_spark_ml(theirs), rtol=1e-9)
    scikit = tree.DecisionTreeRegressor(max_depth=4, min_samples_leaf=10, random_state=0)
    peer = scikit.fit(split.x, split.y).predict(split.new_x)
    # Two features may split the training rows alike, and a new row differently.
    assert np.isclose(found, peer, rtol=1e-9).mean() > 0.98


def test_multiclass_forest(digits: DataFrame, tmp_path: Path) -> None:
    from pyspark.ml.classification import RandomForestClassifier

    split = Split(digits)
    config = RandomForest(task="multiclass", trees=15, max_depth=7)
    model = config.fit(split.train, ["x"], "y", seed=2)
    found = split.predicted(model)
    theirs = RandomForestClassifier(
        numTrees=15, maxDepth=7, featureSubsetStrategy="sqrt", seed=2
    ).fit(split.vectors)
    np.testing.assert_allclose(
        found, split.by_spark_ml(theirs, "probability"), rtol=1e-9, atol=1e-12
    )
    scikit = ensemble.RandomForestClassifier(15, max_depth=7, random_state=0)
    peer = accuracy_score(split.new_y, scikit.fit(split.x, split.y).predict(split.new_x))
    assert accuracy_score(split.new_y, found.argmax(axis=1)) > peer - 0.04

    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert isinstance(loaded, TreesModel) and loaded.details == model.details
    np.testing.assert_array_equal(split.predicted(loaded), found)
    assert sum(model.details["importances"].values()) == pytest.approx(1.0)


def test_binary_forest(cancer: DataFrame) -> None:
    from pyspark.ml.regression import RandomForestRegressor

    split = Split(cancer)
    config = RandomForest(trees=12, max_depth=6, features_share=0.5, rows_share=0.8)
    model = config.fit(split.train, ["x"], "y", seed=3)
    found = split.predicted(model)
    theirs = RandomForestRegressor(
        numTrees=12, maxDepth=6, featureSubsetStrategy="0.5", subsamplingRate=0.8, seed=3
    ).fit(split.vectors)
    np.testing.assert_allclose(found, split.by_spark_ml(theirs), rtol=1e-9, atol=1e-12)
    scikit = ensemble.RandomForestClassifier(12, max_depth=6, max_features=0.5, random_state=0)
    peer = scikit.fit(split.x, split.y).predict_proba(split.new_x)[:, 1]
    assert roc_auc_score(split.new_y, found) > roc_auc_score(split.new_y, peer) - 0.02


def test_regression_forest(diabetes: DataFrame) -> None:
    split = Split(diabetes)
    config = RandomForest(task="regression", trees=20, max_depth=5)
    found = split.predicted(config.fit(split.train, ["x"], "y"))
    scikit = ensemble.RandomForestRegressor(20, max_depth=5, max_features=1 / 3, random_state=0)
    peer = scikit.fit(split.x, split.y).predict(split.new_x)
    assert r2_score(split.new_y, found) > r2_score(split.new_y, peer) - 0.05


def test_boosted_classifier(cancer: DataFrame) -> None:
    from pyspark.ml.classification import GBTClassifier

    split = Split(cancer)
    config = GradientBoostedTrees(trees=12, max_depth=3, learning_rate=0.3)
    model = config.fit(split.train, ["x"], "y", seed=4)
    found = split.predicted(model)
    theirs = GBTClassifier(maxIter=12, maxDepth=3, stepSize=0.3, seed=4).fit(split.vectors)
    np.testing.assert_allclose(found, split.by_spark_ml(theirs, "probability")[:, 1], rtol=1e-9)
    scikit = ensemble.GradientBoostingClassifier(
        n_estimators=12, max_depth=3, learning_rate=0.3, random_state=0
    ).fit(split.x, split.y)
    peer = roc_auc_score(split.new_y, scikit.predict_proba(split.new_x)[:, 1])
    assert roc_auc_score(split.new_y, found) > peer - 0.02


def test_boosted_regression(diabetes: DataFrame) -> None:
    from pyspark.ml.regression import GBTRegressor

    split = Split(diabetes)
    config = GradientBoostedTrees(task="regression", trees=8, max_depth=3, learning_rate=0.2)
    model = config.fit(split.train, ["x"], "y", seed=5)
    found = split.predicted(model)
    theirs = GBTRegressor(maxIter=8, maxDepth=3, stepSize=0.2, seed=5).fit(split.vectors)
    np.testing.assert_allclose(found, split.by_spark_ml(theirs), rtol=1e-9)
    scikit = ensemble.GradientBoostingRegressor(
        n_estimators=8, max_depth=3, learning_rate=0.2, random_state=0
    ).fit(split.x, split.y)
    assert r2_score(split.new_y, found) > r2_score(split.new_y, scikit.predict(split.new_x)) - 0.1


def test_class_weights_of_a_tree(spark: SparkSession) -> None:
    rows = [(0.0, 0)] * 6 + [(0.0, 1)] * 2 + [(1.0, 0)] * 1 + [(1.0, 1)] * 3
    df = spark.createDataFrame(rows, "x double, y int")
    new = spark.createDataFrame([(0.0,), (1.0,)], "x double")
    for weights, expected in [
        (None, [2 / 8, 3 / 4]),
        ({0: 1.0, 1: 3.0}, [6 / 12, 9 / 10]),
        ("balanced", [(2 / 5) / (2 / 5 + 6 / 7), (3 / 5) / (3 / 5 + 1 / 7)]),
    ]:
        model = DecisionTree(max_depth=1, class_weight=weights).fit(df, ["x"], "y")
        found = [row["prediction"] for row in model.transform(new).collect()]
        assert found == pytest.approx(expected)


def test_rows_that_lack_a_feature(spark: SparkSession) -> None:
    train = spark.createDataFrame(
        [(float(n), [float(n % 5)], n % 2) for n in range(20)], "x double, a array<float>, y int"
    )
    nan, inf = float("nan"), float("inf")
    rows = [(1.0, [1.0]), (None, [1.0]), (nan, [1.0]), (1.0, None), (1.0, [None]), (inf, [1.0])]
    rows += [(1.0, [1.0, 2.0]), (1.0, [])]
    new = spark.createDataFrame(rows, "x double, a array<float>")
    model = RandomForest(trees=2, max_depth=2).fit(train, ["x", "a"], "y")
    scored = model.transform(new.coalesce(1)).collect()
    assert [row["prediction"] is not None for row in scored] == [True] + [False] * 7


def test_settings() -> None:
    for make, message in [
        (lambda: GradientBoostedTrees(task="multiclass"), "not multiclass; Spark ML boosts no"),
        (lambda: RandomForest(max_depth=31), "max_depth is 31"),
        (lambda: RandomForest(trees=0), "trees is 0"),
        (lambda: RandomForest(features_share=1.5), "features_share is 1.5"),
        (lambda: GradientBoostedTrees(learning_rate=0.0), "learning_rate is 0.0"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make()
