"""Stacking against scikit-learn's, and weights of averages against other minimisers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.optimize import nnls
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sparkmine import mine
from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import Averaging, ScikitLearn, best_weights
from sparkmine.model import Model
from sparkmine.selection import KFold, StackedModel, Stacking, StratifiedKFold

FEATURES = ["spend", "visits", "taste"]
LOGISTIC = ScikitLearn(estimator="sklearn.linear_model:LogisticRegression")
TREE = ScikitLearn(estimator="sklearn.tree:DecisionTreeClassifier", parameters={"max_depth": 3})


def by_id(model: Model, spark: SparkSession, households: Any) -> np.ndarray:
    """Predictions in the order of the table's rows."""
    frame = households.snapshot.dataframe(spark)
    scored = model.transform(frame)
    score = "probability" if "probability" in scored.columns else "prediction"
    added = ["prediction", "probability"][: 1 + (score == "probability")]
    assert scored.columns == [*frame.columns, *added]
    rows = frame.toArrow()
    found = scored.select("id", score).toPandas().set_index("id")[score]
    here = model.transform_arrow(rows)
    if here is not None:
        assert here.column_names == scored.columns
        twin = here.select(["id", score]).to_pandas().set_index("id")[score].loc[found.index]
        np.testing.assert_allclose(np.stack(found.to_list()), np.stack(twin.to_list()), rtol=1e-9)
    return np.stack(found.loc[households.rows["id"]].to_list())


@pytest.mark.slow
def test_stacking_is_that_of_scikit_learn(
    spark: SparkSession, households: Any, tmp_path: Path
) -> None:
    how = StratifiedKFold(keys=("id",), k=3)
    stacking = Stacking(members={"linear": LOGISTIC, "tree": TREE}, final=LOGISTIC, folds=how)
    model = stacking.fit(households.snapshot, FEATURES, "shops", seed=7, spark=spark)
    theirs = StackingClassifier(
        [
            ("linear", LogisticRegression(random_state=7)),
            ("tree", DecisionTreeClassifier(max_depth=3, random_state=7)),
        ],
        LogisticRegression(random_state=7),
        cv=households.splits(how.split(households.snapshot, "shops", spark)),
    ).fit(households.matrix, households.rows["shops"])
    expected = theirs.predict_proba(households.matrix)[:, 1]
    # The order of the out-of-fold rows differs, and with it the last digits of the final optimum.
    model.save(tmp_path / "stacked")
    loaded = StackedModel.load(tmp_path / "stacked")
    np.testing.assert_allclose(by_id(loaded, spark, households), expected, rtol=1e-6)
    gaps = households.snapshot.dataframe(spark).selectExpr("null as spend", "visits", "taste")
    with pytest.raises(ConfigError, match="already has tree"):
        loaded.transform(gaps.selectExpr("*", "1 as tree"))


def test_stacking_of_several_classes_is_that_of_scikit_learn(
    spark: SparkSession, households: Any, tmp_path: Path
) -> None:
    def classifier(name: str, **parameters: Any) -> ScikitLearn:
        return ScikitLearn(estimator=f"sklearn.{name}", parameters=parameters, task="multiclass")

    how = StratifiedKFold(keys=("id",), k=3)
    tight = {"tol": 1e-10, "max_iter": 5000}
    stacking = Stacking(
        members={
            "linear": classifier("linear_model:LogisticRegression"),
            "tree": classifier("tree:DecisionTreeClassifier", max_depth=3),
        },
        final=classifier("linear_model:LogisticRegression", **tight),
        folds=how,
        passthrough=True,
    )
    model = stacking.fit(households.snapshot, FEATURES, "kind", seed=7, spark=spark)
    theirs = StackingClassifier(
        [
            ("linear", LogisticRegression(random_state=7)),
            ("tree", DecisionTreeClassifier(max_depth=3, random_state=7)),
        ],
        LogisticRegression(random_state=7, **tight),
        cv=households.splits(how.split(households.snapshot, "kind", spark)),
        passthrough=True,
    ).fit(households.matrix, households.rows["kind"])
    assert theirs.final_estimator_.coef_.shape == (3, 2 * 3 + 4)
    expected = theirs.predict_proba(households.matrix)
    model.save(tmp_path / "stacked")
    found = by_id(StackedModel.load(tmp_path / "stacked"), spark, households)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-6)


def test_numbers_are_stacked_and_features_passed_through(
    spark: SparkSession, households: Any
) -> None:
    """Least squares has a closed form: equal to rounding, whatever the order of the rows."""

    def regressor(name: str, **parameters: Any) -> ScikitLearn:
        return ScikitLearn(estimator=f"sklearn.{name}", parameters=parameters, task="regression")

    how = KFold(keys=("id",), k=3)
    model = Stacking(
        members={
            "ridge": regressor("linear_model:Ridge", alpha=2.0),
            "tree": regressor("tree:DecisionTreeRegressor", max_depth=2),
        },
        final=regressor("linear_model:LinearRegression"),
        folds=how,
        passthrough=True,
    ).fit(households.snapshot, FEATURES, "amount", spark=spark)
    theirs = StackingRegressor(
        [("ridge", Ridge(alpha=2.0)), ("tree", DecisionTreeRegressor(max_depth=2, random_state=0))],
        LinearRegression(),
        passthrough=True,
        cv=households.splits(how.split(households.snapshot, "amount", spark)),
    ).fit(households.matrix, households.rows["amount"])
    expected = theirs.predict(households.matrix)
    np.testing.assert_allclose(by_id(model, spark, households), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.slow
def test_members_and_final_may_be_sparks(spark: SparkSession, households: Any) -> None:
    model = Stacking(
        members={"a": mine.DecisionTree(max_depth=2), "b": TREE},
        final=mine.LogisticRegression(l2=0.01),
        folds=KFold(keys=("id",), k=2),
    ).fit(households.snapshot, FEATURES, "shops", spark=spark)
    assert sorted(model.final.details["coefficients"]) == ["a", "b"]  # type: ignore[attr-defined]
    frame = households.snapshot.where("week < 4").dataframe(spark)
    rows = households.rows[households.rows["week"] < 4].sort_values("id")
    a = model.members["a"].transform(frame).orderBy("id").toPandas()["prediction"].to_numpy()
    b = model.members["b"].predict(households.matrix[rows.index])  # type: ignore[attr-defined]
    details = model.final.details  # type: ignore[attr-defined]
    weights = details["coefficients"]
    margin = details["intercept"] + weights["a"] * a + weights["b"] * b
    found = model.transform(frame).orderBy("id").toPandas()["prediction"].to_numpy()
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-margin)), rtol=1e-9)


@pytest.mark.slow
def test_networks_are_members_like_others(
    spark: SparkSession, households: Any, tmp_path: Path
) -> None:
    from sparkmine.train import MLP, EarlyStopping, Training

    network = Training(
        network=MLP(hidden=(4,)),
        ranks=1,
        epochs=30,
        batch_size=64,
        learning_rate=0.2,
        validation_share=0.2,
        validation_keys=("id",),
        early_stopping=EarlyStopping(patience=1),
    )
    model = Stacking(
        members={"deep": network, "tree": TREE},
        final=LOGISTIC,
        folds=KFold(keys=("id",), k=2),
    ).fit(households.snapshot, FEATURES, "shops", spark=spark)
    deep: Any = model.members["deep"]
    assert len(deep.history) < 30 and "val_loss" in deep.history[0]
    losses = [one["val_loss"] for one in deep.history]
    assert deep.epoch == 1 + int(np.argmin(losses)) < len(losses)
    # A fifth of the rows is not trained on; it is what the figures are of.
    assert deep.data["rows"] == pytest.approx(0.8 * len(households.rows), rel=0.1)
    model.save(tmp_path / "stacked")
    found = by_id(Model.load(tmp_path / "stacked"), spark, households)
    assert ((found > 0) & (found < 1)).all()
    # Averages take fitted networks, too.
    averaging = Averaging(("deep", "tree"), (1.0, 3.0))
    mixed = averaging.fit(households.snapshot, "shops", model.members, spark=spark)
    mixed.save(tmp_path / "mixed")
    found = by_id(Model.load(tmp_path / "mixed"), spark, households)
    deep_alone, tree_alone = (by_id(one, spark, households) for one in model.members.values())
    np.testing.assert_allclose(found, 0.25 * deep_alone + 0.75 * tree_alone, rtol=1e-6)


def test_stackings_that_cannot_be(spark: SparkSession, households: Any) -> None:
    how = KFold(keys=("id",), k=2)
    with pytest.raises(ConfigError, match="one member or more"):
        Stacking(members={}, final=LOGISTIC, folds=how)
    with pytest.raises(ConfigError, match="is for binary, but members for"):
        ridge = ScikitLearn(estimator="sklearn.linear_model:Ridge", task="regression")
        Stacking(members={"a": ridge}, final=LOGISTIC, folds=how)
    with pytest.raises(ConfigError, match="is for multiclass, but members for"):
        classes = ScikitLearn(estimator="sklearn.tree:DecisionTreeClassifier", task="multiclass")
        Stacking(members={"a": TREE}, final=classes, folds=how)
    with pytest.raises(ConfigError, match="spend is a column of the rows"):
        Stacking(members={"spend": TREE}, final=LOGISTIC, folds=how).fit(
            households.snapshot, FEATURES, "shops", spark=spark
        )


def test_weights_have_the_least_log_loss() -> None:
    random = np.random.default_rng(2)
    truth = (random.random(4000) < 0.4).astype(float)
    members = np.clip(0.4 + (truth - 0.4)[:, None] * [0.5, 0.3, 0.0], 0, 1)
    members = np.clip(members + random.normal(size=members.shape) * [0.2, 0.1, 0.3], 0.01, 0.99)
    found = best_weights(members, truth)

    def loss(weights: np.ndarray) -> float:
        mixed = members @ weights
        return float(-np.mean(np.where(truth == 1, np.log(mixed), np.log(1 - mixed))))

    assert sum(found.weights) == pytest.approx(1)
    assert found.loss == pytest.approx(loss(np.array(found.weights)), rel=1e-12)
    assert found.equal == pytest.approx(loss(np.full(3, 1 / 3)), rel=1e-12)
    steps = np.linspace(0, 1, 101)
    grid = [np.array([a, b, 1 - a - b]) for a in steps for b in steps if a + b <= 1 + 1e-9]
    assert found.loss <= min(map(loss, np.clip(grid, 0, 1))) + 1e-9
    # The best member alone, where the others know nothing.
    alone = best_weights(np.column_stack([members[:, 0], 1 - members[:, 0]]), truth)
    assert alone.weights[0] == pytest.approx(1, abs=1e-3)


def test_weights_have_the_least_squared_error() -> None:
    random = np.random.default_rng(3)
    truth = 1e4 * random.normal(size=500) + 7e4
    members = truth[:, None] + 1e4 * random.normal(size=(500, 4)) * [0.5, 1.0, 2.0, 8.0]
    members[:, 3] += 5e5
    found = best_weights(members, truth, "regression")
    # Least squares with weights that are not negative, and a heavy row that makes them add up to 1.
    heavy = 1e4 * np.abs(members).max()
    other, _ = nnls(
        np.vstack([members - truth[:, None], np.full(4, heavy)]), np.append(np.zeros(500), heavy)
    )
    np.testing.assert_allclose(found.weights, other, atol=1e-5)
    assert found.loss == pytest.approx(np.mean((members @ found.weights - truth) ** 2), rel=1e-9)
    for bad in (np.zeros((0, 2)), np.full((3, 2), np.nan)):
        with pytest.raises(DataError):
            best_weights(bad, np.zeros(len(bad)), "regression")
