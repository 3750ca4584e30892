"""Linear models and naive Bayes against Spark ML's own scores and scikit-learn's optima."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from sklearn.linear_model import LogisticRegression as ScikitLogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.preprocessing import scale
from sklearn.svm import SVC

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import LinearRegression, LinearSVM, LogisticRegression, NaiveBayes
from sparkmine.model import Model


def frame(spark: SparkSession, data: np.ndarray, labels: np.ndarray) -> DataFrame:
    table = pd.DataFrame({"id": np.arange(len(data)), "x": data.tolist(), "y": labels})
    return spark.createDataFrame(table).repartition(2).cache()


def predicted(model: Model, df: DataFrame) -> np.ndarray:
    scored = model.transform(df).orderBy("id").toPandas()
    if "probability" not in scored:
        return scored["prediction"].to_numpy()
    found = np.array(scored["probability"].tolist())
    np.testing.assert_array_equal(scored["prediction"], found.argmax(axis=1))
    return found


def spark_ml_probability(fitted: object, df: DataFrame) -> np.ndarray:
    from pyspark.ml.functions import array_to_vector, vector_to_array
    from pyspark.sql import functions as F

    rows = df.select("id", array_to_vector("x").alias("features"))
    scored = fitted.transform(rows).select("id", vector_to_array(F.col("probability")).alias("p"))
    return np.array(scored.orderBy("id").toPandas()["p"].tolist())


def spark_ml_rows(df: DataFrame) -> DataFrame:
    from pyspark.ml.functions import array_to_vector

    return df.select(array_to_vector("x").alias("features"), df["y"].cast("double").alias("label"))


@pytest.fixture(scope="module")
def digits(spark: SparkSession) -> DataFrame:
    data = load_digits()
    return frame(spark, data.data[:600, 10:50], data.target[:600])


@pytest.fixture(scope="module")
def cancer(spark: SparkSession) -> DataFrame:
    data = load_breast_cancer()
    return frame(spark, scale(data.data[:, :8]), data.target)


@pytest.fixture(scope="module")
def diabetes(spark: SparkSession) -> DataFrame:
    data = load_diabetes()
    return frame(spark, data.data * 30, data.target)


def arrays(df: DataFrame) -> tuple[np.ndarray, np.ndarray]:
    table = df.orderBy("id").toPandas()
    return np.array(table["x"].tolist()), table["y"].to_numpy()


def test_multinomial_logistic_regression(spark: SparkSession, tmp_path: Path) -> None:
    from pyspark.ml.classification import LogisticRegression as SparkLogisticRegression

    wine = load_wine()
    data, labels = scale(wine.data[:, :8]), wine.target
    df = frame(spark, data, labels)
    config = LogisticRegression(task="multiclass", l2=0.05, standardize=False, tolerance=1e-9)
    model = config.fit(df, ["x"], "y")
    found = predicted(model, df)
    theirs = SparkLogisticRegression(
        family="multinomial", regParam=0.05, standardization=False, tol=1e-9
    ).fit(spark_ml_rows(df))
    np.testing.assert_allclose(found, spark_ml_probability(theirs, df), rtol=1e-9, atol=1e-15)
    # scikit-learn minimises C * summed log loss + |w|^2 / 2.
    scikit = ScikitLogisticRegression(C=1 / (0.05 * len(labels)), tol=1e-9, max_iter=5_000)
    scikit.fit(data, labels)
    np.testing.assert_allclose(found, scikit.predict_proba(data), atol=1e-4)

    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    np.testing.assert_array_equal(predicted(loaded, df), found)
    on_arrow = loaded.evaluate(df.orderBy("id").toArrow())
    np.testing.assert_allclose(on_arrow.field("probability").to_pylist(), found, rtol=1e-12)
    assert len(model.details["coefficients"]["x[3]"]) == 3
    deviations = list(model.details["deviations"].values())
    np.testing.assert_allclose(deviations, data.std(axis=0, ddof=1), rtol=1e-9)


def test_class_weights(cancer: DataFrame) -> None:
    data, labels = arrays(cancer)
    config = LogisticRegression(l2=0.1, standardize=False, tolerance=1e-10, class_weight="balanced")
    model = config.fit(cancer, ["x"], "y")
    # Balanced weights add up to the number of rows.
    scikit = ScikitLogisticRegression(
        C=1 / (0.1 * len(labels)), class_weight="balanced", tol=1e-10, max_iter=5_000
    ).fit(data, labels)
    np.testing.assert_allclose(
        predicted(model, cancer), scikit.predict_proba(data)[:, 1], atol=1e-4
    )
    with pytest.raises(ConfigError, match=r"classes \[1\]; the label has 0 to 1"):
        LogisticRegression(class_weight={1: 2.0}).fit(cancer, ["x"], "y")


@pytest.mark.parametrize(
    ("l1", "l2", "theirs"),
    [
        (0.0, 20.0, lambda n: Ridge(alpha=20.0 * n)),
        (5.0, 0.0, lambda n: Lasso(alpha=5.0, tol=1e-10)),
        (2.0, 6.0, lambda n: ElasticNet(alpha=8.0, l1_ratio=0.25, tol=1e-10)),
    ],
)
def test_linear_regression(diabetes: DataFrame, l1: float, l2: float, theirs) -> None:
    config = LinearRegression(l1=l1, l2=l2, standardize=False, tolerance=1e-12)
    model = config.fit(diabetes, ["x"], "y")
    data, values = arrays(diabetes)
    scikit = theirs(len(values)).fit(data, values)
    found = np.array(list(model.details["coefficients"].values()))
    np.testing.assert_allclose(found, scikit.coef_, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(predicted(model, diabetes), scikit.predict(data), rtol=1e-5)
    if l1:
        assert ((found == 0) == (scikit.coef_ == 0)).all()


def test_many_features_have_the_same_objective(
    diabetes: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if there were more features than the normal equations are solved for."""
    from sparkmine.mine.supervised import linear

    monkeypatch.setattr(linear, "MOST_NORMAL", 1)
    data, values = arrays(diabetes)
    config = LinearRegression(l2=20.0, standardize=False, tolerance=1e-12)
    model = config.fit(diabetes, ["x"], "y")
    scikit = Ridge(alpha=20.0 * len(values)).fit(data, values)
    np.testing.assert_allclose(predicted(model, diabetes), scikit.predict(data), rtol=1e-4)


def test_linear_svm(cancer: DataFrame) -> None:
    config = LinearSVM(l2=0.02, standardize=False, max_iterations=25, folds=2)
    model = config.fit(cancer, ["x"], "y")
    data, labels = arrays(cancer)
    scikit = SVC(kernel="linear", C=1 / (0.02 * len(labels)), tol=1e-8).fit(data, labels)
    weights = np.array(list(model.details["coefficients"].values()))

    def objective(w: np.ndarray, b: float) -> float:
        hinge = np.maximum(0, 1 - (2 * labels - 1) * (data @ w + b))
        return float(hinge.mean() + 0.01 * w @ w)

    best = objective(scikit.coef_[0], scikit.intercept_[0])
    assert objective(weights, model.details["intercept"]) < best * 1.02

    found = predicted(model, cancer)
    margins = data @ weights + model.details["intercept"]
    assert (np.argsort(found) == np.argsort(margins)).all()
    # The sigmoid was fitted to rows that the plane had not seen, and is no surer than they allow.
    assert log_loss(labels, found) < 0.2
    assert found.mean() == pytest.approx(labels.mean(), abs=0.01)


def test_few_rows_for_folds(spark: SparkSession) -> None:
    rows = [(float(n), int(n == 7)) for n in range(20)]
    df = spark.createDataFrame(rows, "x double, y int")
    with pytest.raises(DataError, match="1 rows of class 1 are too few for 3 folds"):
        LinearSVM().fit(df, ["x"], "y")


VARIANTS = ["gaussian", "multinomial", "complement", "bernoulli"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_naive_bayes(spark: SparkSession, digits: DataFrame, variant: str) -> None:
    from pyspark.ml.classification import NaiveBayes as SparkNaiveBayes
    from pyspark.sql import functions as F
    from sklearn import naive_bayes

    df = digits
    if variant == "bernoulli":
        df = df.withColumn("x", F.transform("x", lambda x: F.when(x > 7, 1.0).otherwise(0.0)))
    model = NaiveBayes(task="multiclass", variant=variant).fit(df, ["x"], "y")
    found = predicted(model, df)
    theirs = SparkNaiveBayes(modelType=variant).fit(spark_ml_rows(df))
    np.testing.assert_allclose(found, spark_ml_probability(theirs, df), rtol=1e-9, atol=1e-14)

    scikit = {
        "gaussian": naive_bayes.GaussianNB(),
        "multinomial": naive_bayes.MultinomialNB(),
        "complement": naive_bayes.ComplementNB(),
        "bernoulli": naive_bayes.BernoulliNB(),
    }[variant]
    data, labels = arrays(df)
    scikit.fit(data, labels)
    ours, peer = found.argmax(axis=1), scikit.predict(data)
    assert accuracy_score(labels, ours) > accuracy_score(labels, peer) - 0.02

    # Two classes, mostly an expression.
    two = df.withColumn("y", (F.col("y") > 4).cast("int"))
    binary = NaiveBayes(variant=variant).fit(two, ["x"], "y")
    theirs = SparkNaiveBayes(modelType=variant).fit(spark_ml_rows(two))
    np.testing.assert_allclose(
        predicted(binary, two), spark_ml_probability(theirs, two)[:, 1], rtol=1e-9, atol=1e-14
    )
    if variant == "gaussian":
        scikit.fit(data, labels > 4)
        ours = roc_auc_score(labels > 4, predicted(binary, two))
        assert ours > roc_auc_score(labels > 4, scikit.predict_proba(data)[:, 1]) - 0.02


def test_features_outside_the_domain(spark: SparkSession) -> None:
    rows = [(1.0, [0.0, 2.0], 0), (-1.0, [1.0, 0.0], 1)]
    df = spark.createDataFrame(rows, "x double, a array<double>, y int")
    with pytest.raises(DataError, match=r"not non-negative among 2 rows in x \(1 rows\);"):
        NaiveBayes(variant="multinomial").fit(df, ["x", "a"], "y")
    with pytest.raises(DataError, match=r"not 0 or 1 among 2 rows in x \(1 rows\), a \(1 rows\)"):
        NaiveBayes(variant="bernoulli").fit(df, ["x", "a"], "y")


def test_rows_that_lack_a_feature(spark: SparkSession) -> None:
    train = [(float(n), [float(n % 3), 1.0 + n % 2], n % 3, n % 2) for n in range(12)]
    df = spark.createDataFrame(train, "x double, a array<double>, c int, y int")
    nan, inf = float("nan"), float("inf")
    rows = [(1.0, [0.0, 1.0]), (None, [0.0, 1.0]), (nan, [0.0, 1.0]), (1.0, [inf, 1.0])]
    rows += [(1.0, None), (1.0, [None, 1.0]), (-inf, [0.0, 1.0])]
    new = spark.createDataFrame(rows, "x double, a array<double>")
    for label, estimator in [
        ("c", LogisticRegression(task="multiclass", l2=0.1)),
        ("y", LogisticRegression(l2=0.1)),
        ("x", LinearRegression(l2=0.1)),
        ("y", NaiveBayes()),
    ]:
        features = ["a"] if label == "x" else ["x", "a"]
        model = estimator.fit(df, features, label)
        scored = model.transform(new).collect()
        known = [row["prediction"] is not None for row in scored]
        wanted = [True, True, True, False, False, False, True]
        assert known == (wanted if label == "x" else [True] + [False] * 6)
        if label == "c":
            assert [row["probability"] is not None for row in scored] == known


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("multiclass", [0.0, 2.0, 0.0], "class 1 does not occur"),
        ("multiclass", [0.0, 1.5, 1.0], "no whole number from 0 on in 1 rows"),
        ("multiclass", [0.0, None, 1.0], "is null or no whole number from 0 on in 1 rows"),
        ("multiclass", [1.0, -1.0, 0.0], "no whole number from 0 on in 1 rows"),
        ("multiclass", [0.0, 0.0, 0.0], "one class alone"),
        ("regression", [0.0, None, 1.0], "null, NaN or infinite in 1 of 3 rows"),
        ("regression", [0.0, float("nan"), float("inf")], "null, NaN or infinite in 2 of 3 rows"),
        ("regression", [2.0, 2.0, 2.0], "the same in all 3 rows"),
    ],
)
def test_unsuitable_labels(
    spark: SparkSession, task: str, labels: list[float], message: str
) -> None:
    df = spark.createDataFrame([(float(n), y) for n, y in enumerate(labels)], "x double, y double")
    estimator = LinearRegression() if task == "regression" else LogisticRegression(task=task)
    with pytest.raises(DataError, match=message):
        estimator.fit(df, ["x"], "y")


def test_settings() -> None:
    for make, message in [
        (lambda: LogisticRegression(task="regression"), "not regression; LinearRegression is"),
        (lambda: LinearRegression(task="binary"), "not binary; LogisticRegression is"),
        (lambda: LinearSVM(task="multiclass"), "not multiclass; LogisticRegression"),
        (lambda: NaiveBayes(variant="poisson"), "variant is 'poisson'"),
        (lambda: LinearSVM(folds=1), "folds is 1"),
        (lambda: NaiveBayes(class_weight={0: 0.0, 1: 1.0}), "class 0 is 0.0"),
        (lambda: NaiveBayes(class_weight="even"), "class_weight='even'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make()
