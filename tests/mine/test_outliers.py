"""Outlier scores against scikit-learn and NumPy, on made-up rows and on labelled ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from scipy.stats import rankdata
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from sparkmine.errors import ConfigError, DataError
from sparkmine.mine.outliers import METHODS, OutlierModel, Outliers, fitting
from sparkmine.mine.outliers.forest import grow, joined

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def tumours() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """All benign ones and every tenth malignant one; 1 is malignant."""
    found = load_breast_cancer()
    malignant = np.flatnonzero(found.target == 0)[::10]
    rows = np.concatenate([np.flatnonzero(found.target == 1), malignant])
    names = [name.replace(" ", "_") for name in found.feature_names]
    return found.data[rows], 1 - found.target[rows], names


@pytest.fixture(scope="module")
def frame(spark: SparkSession, tumours) -> DataFrame:
    values, labels, names = tumours
    table = pd.DataFrame(values, columns=names).assign(id=np.arange(len(values)), label=labels)
    return spark.createDataFrame(table).repartition(3).cache()


@pytest.fixture(scope="module")
def fitted(frame: DataFrame, tumours) -> OutlierModel:
    return Outliers(seed=1).fit(frame, tumours[2])


@pytest.fixture(scope="module")
def scored(fitted: OutlierModel, frame: DataFrame) -> pd.DataFrame:
    return fitted.transform(frame).toPandas().sort_values("id").reset_index(drop=True)


def test_as_good_as_scikit_learn_on_labelled_rows(scored: pd.DataFrame, tumours) -> None:
    values, labels, _ = tumours
    areas = []
    for seed in range(3):
        forest = IsolationForest(n_estimators=100, max_samples=256, random_state=seed).fit(values)
        areas.append(roc_auc_score(labels, -forest.score_samples(values)))
    found = roc_auc_score(labels, scored.score_isolation_forest)
    assert found > np.mean(areas) - 0.01
    assert roc_auc_score(labels, scored.score) > 0.9
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    pca = PCA(0.9, svd_solver="full").fit(standard)
    rest = standard - pca.inverse_transform(pca.transform(standard))
    peers = {
        "mahalanobis": EmpiricalCovariance().fit(values).mahalanobis(values),
        "pca": (rest**2).sum(axis=1),
        "univariate": np.abs(standard).max(axis=1),
    }
    for name, peer in peers.items():
        area = roc_auc_score(labels, peer)
        assert abs(roc_auc_score(labels, scored[f"score_{name}"]) - area) < 0.01, name


def test_distances_are_those_of_numpy(scored: pd.DataFrame, tumours) -> None:
    values, _, _ = tumours
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    inverse = np.linalg.inv(np.corrcoef(values.T))
    expected = {
        "mahalanobis": np.einsum("ij,jk,ik->i", standard, inverse, standard),
        "univariate": np.abs(standard).max(axis=1),
    }
    pca = PCA(0.9, svd_solver="full").fit(standard)
    rest = standard - pca.inverse_transform(pca.transform(standard))
    expected["pca"] = (rest**2).sum(axis=1)
    for name, wanted in expected.items():
        shares = (rankdata(wanted) - 1) / (len(wanted) - 1)
        np.testing.assert_allclose(scored[f"score_{name}"], shares, atol=2e-3)
    mean = scored[[f"score_{name}" for name in METHODS]].mean(axis=1)
    np.testing.assert_allclose(scored.score, mean, atol=1e-12)


def test_one_tree_is_scikit_learns(tumours) -> None:
    values, _, _ = tumours
    forest = IsolationForest(n_estimators=1, max_samples=len(values), random_state=5).fit(values)
    found = joined([grow(values, 5)], len(values)).scores(values)
    np.testing.assert_allclose(found, -forest.score_samples(values), rtol=1e-9)


def test_the_reason_is_the_column_that_was_moved(spark: SparkSession) -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(500, 4))
    rows[:, 1] = rows[:, 0] + generator.normal(0, 0.1, 500)
    rows[7, 3] = -9.0
    rows[8, 1] += 3.0  # nothing strange by itself, but beside its neighbour
    table = pd.DataFrame(rows[:, :2], columns=["a", "b"]).assign(mix=list(rows[:, 2:]))
    df = spark.createDataFrame(table.assign(id=range(500)))
    model = Outliers(methods=("mahalanobis",), reasons=1).fit(df, ["a", "b", "mix"])
    found = model.transform(df).toPandas().set_index("id")
    assert next(iter(found.loc[7, "reasons"])).startswith("mix[1] low (-")
    assert next(iter(found.loc[8, "reasons"])).startswith("b high (+")
    assert set(found.score.nlargest(2).index) == {7, 8}


def test_reasons_are_those_of_the_methods(spark: SparkSession) -> None:
    """A row that is far out along a component, one beside it, and one that is both."""
    generator = np.random.default_rng(2)
    rows = generator.normal(size=(400, 1)) @ np.ones((1, 4)) + generator.normal(0, 0.2, (400, 4))
    table = pd.DataFrame(rows, columns=list("abcd"))
    table.loc[0] = [4.0, 4.0, 4.5, 4.0]  # along it
    table.loc[1] = [0.0, 2.0, 0.0, 0.0]  # beside it
    table.loc[2] = [-5.0, -5.0, -5.0, -3.0]
    df = spark.createDataFrame(table.assign(id=range(400)))
    standard = ((table - table.mean()) / table.std(ddof=0)).to_numpy()
    pca = PCA(0.8, svd_solver="full").fit(standard)
    residual = np.abs(standard - pca.inverse_transform(pca.transform(standard)))
    expected = {"pca": residual, "univariate": np.abs(standard), "isolation_forest": abs(standard)}
    for method, parts in expected.items():
        how = Outliers(methods=(method,), explained=0.8, trees=5, reasons=1)
        found = how.fit(df, list("abcd")).transform(df).toPandas().set_index("id").reasons
        assert [found[row][0][0] for row in range(3)] == [
            "abcd"[parts[r].argmax()] for r in range(3)
        ]
    both = Outliers(methods=("pca", "univariate"), explained=0.8, reasons=2).fit(df, list("abcd"))
    shares = sum(part**2 / (part**2).sum(axis=1, keepdims=True) for part in (residual, standard))
    found = both.transform(df).toPandas().set_index("id").reasons
    for row in range(3):
        names = ["abcd"[place] for place in np.argsort(-shares[row])[:2]]
        assert [text[0] for text in found[row]] == names


def test_any_partitioning_and_a_saved_model_give_the_same(
    frame: DataFrame, fitted: OutlierModel, scored: pd.DataFrame, tumours, tmp_path: Path
) -> None:
    again = Outliers(seed=1).fit(frame.repartition(2), tumours[2])
    np.testing.assert_array_equal(again.forest.threshold, fitted.forest.threshold)
    fitted.save(tmp_path / "model")
    loaded = OutlierModel.load(tmp_path / "model")
    table = pa.Table.from_pandas(scored[tumours[2]])
    assert loaded.evaluate(table).equals(fitted.evaluate(table))
    np.testing.assert_allclose(loaded.evaluate(table)["score"], scored.score, atol=1e-9)
    assert loaded.evaluate(table.slice(0, 0)).num_rows == 0


def test_equal_rows_are_drawn_one_by_one(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight different rows, of which one is half of 20,000 and one a thousandth."""
    counts = [10_000, 4_000, 2_500, 1_500, 1_000, 600, 380, 20]
    values = np.repeat(np.arange(8.0) ** 2, counts)
    df = spark.createDataFrame(pd.DataFrame({"x": values, "y": -values}))
    how = Outliers(methods=("isolation_forest", "univariate"), trees=5, sample=64, seed=3)
    whole = how.fit(df, ["x", "y"])
    monkeypatch.setattr(fitting, "PERCENTILE_ROWS", 2_000)
    sampled = how.fit(df.repartition(3), ["x", "y"])
    trees = whole.forest
    assert trees is not None and sampled.forest is not None
    assert len(trees.roots) == 5 and len(trees.threshold) > 15
    np.testing.assert_array_equal(trees.threshold, sampled.forest.threshold)
    distinct = pa.table({"x": np.arange(8.0) ** 2, "y": -(np.arange(8.0) ** 2)})
    shares = np.array(counts) / 20_000
    away = np.abs(np.arange(8.0) ** 2 - values.mean())
    expected = np.array([shares[away < a].sum() + shares[away == a].sum() / 2 for a in away])
    for model in (whole, sampled):
        found = model.evaluate(distinct)["score_univariate"].to_numpy()
        np.testing.assert_allclose(found, expected, atol=0.03)


def test_few_flat_and_bad_rows(spark: SparkSession) -> None:
    one = spark.createDataFrame([(1.0, 2.0)], "a double, flat double")
    assert Outliers(trees=3).fit(one, ["a", "flat"]).transform(one).first()["score"] == 0.5
    df = spark.createDataFrame([(1.0, 2.0), (2.0, 2.0), (9.0, 2.0)], "a double, flat double")
    found = Outliers(trees=5).fit(df, ["a", "flat"]).transform(df).toPandas()
    assert found.score.idxmax() == 2 and found.score.between(0, 1).all()
    with pytest.raises(DataError, match="no rows"):
        Outliers().fit(df.where("a > 99"), ["a"])
    with pytest.raises(DataError, match=r"a \(1\)"):
        Outliers().fit(df.union(df.selectExpr("null", "2.0d").limit(1)), ["a", "flat"])
    with pytest.raises(ConfigError, match="no column x"):
        Outliers().fit(df, ["x"])
    with pytest.raises(ConfigError, match="methods"):
        Outliers(methods=("forest",))


def test_a_given_score_counts_as_a_method(frame: DataFrame, tumours, tmp_path: Path) -> None:
    names = tumours[2][:3]
    given = frame.withColumn("error", F.col("id") * 2.0)
    model = Outliers(methods=("univariate",), scores=("error",)).fit(given, names)
    model.save(tmp_path / "model")
    found = OutlierModel.load(tmp_path / "model").transform(given).toPandas()
    ranks = (rankdata(found.id) - 0.5) / len(found)
    np.testing.assert_allclose(found.score_error, ranks, atol=2 / len(found))
    both = (found.score_error + found.score_univariate) / 2
    np.testing.assert_allclose(found.score, both, rtol=1e-12)
    missing = given.withColumn("error", F.when(F.col("id") > 5, F.col("error")))
    with pytest.raises(DataError, match="error"):
        Outliers(methods=("univariate",), scores=("error",)).fit(missing, names)
    with pytest.raises(ConfigError, match="pca is there already"):
        Outliers(scores=("pca",))
