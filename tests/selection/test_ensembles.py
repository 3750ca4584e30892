"""Ensembles of fitted models against scikit-learn's VotingClassifier on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from scipy.optimize import minimize_scalar
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.tree import DecisionTreeClassifier

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import col, lit
from sparkmine.mine import (
    Averaging,
    ClassModel,
    CombinedModel,
    ExpressionModel,
    ScikitLearn,
    Voting,
    weights,
)
from sparkmine.mine.scikit import fit_parts
from sparkmine.model import Model, Task

FEATURES = ["spend", "visits", "taste"]
MEMBERS = ("linear", "tree")
LABELS: dict[Task, str] = {"binary": "shops", "multiclass": "kind"}
WEIGHTS = (3.0, 1.0)


def fitted(spark: SparkSession, households: Any, task: Task) -> dict[str, Model]:
    estimators = [
        ScikitLearn(
            estimator="sklearn.linear_model:LogisticRegression",
            parameters={"max_iter": 1000},
            task=task,
        ),
        ScikitLearn(
            estimator="sklearn.tree:DecisionTreeClassifier", parameters={"max_depth": 4}, task=task
        ),
    ]
    fits = [(estimator, None) for estimator in estimators]
    found = fit_parts(fits, households.snapshot, FEATURES, LABELS[task], 0, spark)
    return dict(zip(MEMBERS, found, strict=True))


@pytest.fixture(scope="module")
def models(spark: SparkSession, households: Any) -> dict[Task, dict[str, Model]]:
    return {task: fitted(spark, households, task) for task in LABELS}


def peer(households: Any, task: Task, voting: str, by: Any = None) -> VotingClassifier:
    members = (
        LogisticRegression(max_iter=1000, random_state=0),
        DecisionTreeClassifier(max_depth=4, random_state=0),
    )
    found = VotingClassifier(list(zip(MEMBERS, members, strict=True)), voting=voting, weights=by)
    return found.fit(households.matrix, households.rows[LABELS[task]])


@pytest.mark.parametrize("task", LABELS)
def test_an_ensemble_is_that_of_scikit_learn(
    spark: SparkSession,
    households: Any,
    models: dict[Task, dict[str, Model]],
    task: Task,
    tmp_path: Path,
) -> None:
    given = (households.snapshot, LABELS[task], models[task])
    frame = households.snapshot.dataframe(spark).select("id", *FEATURES)
    order = np.argsort(households.rows["id"])
    matrix = households.matrix[order]

    soft = Averaging(MEMBERS, WEIGHTS, task).fit(*given, spark=spark)  # type: ignore[arg-type]
    soft.save(tmp_path / "soft")
    saved = CombinedModel.load(tmp_path / "soft").transform(frame)
    scores = ["prediction"] if task == "binary" else ["prediction", "probability"]
    assert saved.columns == ["id", *FEATURES, *scores]
    found = saved.toPandas().sort_values("id")
    expected = peer(households, task, "soft", WEIGHTS)
    wanted = expected.predict_proba(matrix)
    if task == "binary":
        np.testing.assert_allclose(found["prediction"], wanted[:, 1], rtol=1e-12)
    else:
        np.testing.assert_allclose(np.stack(found["probability"]), wanted, rtol=1e-12)
        assert (found["prediction"] == expected.predict(matrix)).all()

    table = frame.toArrow().sort_by("id")
    # Scikit-learn gives what is even, a leaf of 0.5 or a draw, to the first class.
    above = float(np.nextafter(0.5, 1))
    hard = Voting(MEMBERS, above, task).fit(*given, spark=spark)  # type: ignore[arg-type]
    scored = hard.transform_arrow(table)
    assert scored is not None
    votes = scored["prediction"].to_numpy()
    wanted = peer(households, task, "hard").predict(matrix)
    if task == "binary":
        assert set(votes) == {0.0, 0.5, 1.0}
        votes = votes > 0.5
    assert (votes == wanted).all()
    # Members that agree on all rows would make any combination of them right.
    apart = [one.predict(matrix) for one in expected.estimators_]
    assert (apart[0] != apart[1]).mean() > 0.05


@pytest.mark.slow
def test_weights_by_validation(
    spark: SparkSession,
    households: Any,
    models: dict[Task, dict[str, Model]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = models["multiclass"]
    averaging = Averaging(MEMBERS, "validation", "multiclass")
    validation = households.snapshot.where("week > 30")
    found = averaging.fit(validation, "kind", members, keys=["id"], spark=spark)
    rows = households.rows["week"] > 30
    linear, tree = (
        one.predict_proba(households.matrix[rows])
        for one in peer(households, "multiclass", "soft").estimators_
    )

    def loss(weight: float) -> float:
        return float(log_loss(households.rows["kind"][rows], weight * linear + (1 - weight) * tree))

    wanted = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    assert 0.05 < wanted.x < 0.95
    details = found.combiner.details
    np.testing.assert_allclose(details["weights"], [wanted.x, 1 - wanted.x], atol=1e-4)
    assert details["loss"] == pytest.approx({"weighted": wanted.fun, "equal": loss(0.5)}, abs=1e-7)
    # Of many rows a sample, which no order of the rows changes.
    monkeypatch.setattr(weights, "MOST_ROWS", 60)
    frame = validation.dataframe(spark)
    few = averaging.fit(frame.repartition(5), "kind", members, keys=["id"]).combiner.details
    again = averaging.fit(frame.coalesce(1), "kind", members, keys=["id"]).combiner.details
    assert few == again
    assert few["loss"]["equal"] != pytest.approx(loss(0.5), abs=1e-7)


def test_nothing_is_read_for_given_weights(spark: SparkSession) -> None:
    members = {"a": ExpressionModel(expression=col("x")), "b": ExpressionModel(expression=lit(0.5))}
    unreadable = spark.sql("select raise_error('it was read') as x, 1 as y")
    mean = Averaging(("b", "a"), (1.0, 3.0)).fit(unreadable, "y", members)
    votes = Voting(("a", "b"), threshold=0.6).fit(unreadable, "y", members)
    rows = spark.createDataFrame([(0.9,), (0.1,)], "x double")
    assert [row["prediction"] for row in mean.transform(rows).collect()] == pytest.approx(
        [0.8, 0.2]
    )
    assert [row["prediction"] for row in votes.transform(rows).collect()] == [0.5, 0.0]


def test_what_no_ensemble_is_made_of(spark: SparkSession) -> None:
    df = spark.createDataFrame([(0.5, 1), (0.25, None)], "x double, y int")
    number = ExpressionModel(expression=col("x"))
    two = ClassModel(expressions=(col("x"), 1.0 - col("x")))
    three = ClassModel(expressions=(col("x"), 1.0 - col("x"), lit(0.0)))
    nothing = ClassModel(expressions=(lit(None).cast("double"), col("x")))
    pair = ("a", "b")
    with pytest.raises(ConfigError, match=r"the models are \['a', 'c'\], the members \['a', 'b'\]"):
        Averaging(pair).fit(df, "y", {"a": number, "c": number})
    with pytest.raises(ConfigError, match="found by fit"):
        Averaging(pair, "validation").model()
    with pytest.raises(ConfigError, match="numbers are averaged"):
        Voting(pair, task="regression")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the member b has no probabilities"):
        Voting(pair, task="multiclass").fit(df, "y", {"a": two, "b": number})
    with pytest.raises(ConfigError, match="numbers of classes: a 2, b 3"):
        Voting(pair, task="multiclass").fit(df, "y", {"a": two, "b": three})
    with pytest.raises(DataError, match="no row that all members score"):
        Voting(pair, task="multiclass").fit(df, "y", {"a": two, "b": nothing})
    with pytest.raises(DataError, match=r"1 labels \(y\) and predictions \(a, b\)"):
        Averaging(pair, "validation").fit(df, "y", {"a": number, "b": number})
    with pytest.raises(DataError, match="no validation rows to choose weights on; look"):
        nobody = df.where("y = 7")
        Averaging(pair, "validation").fit(nobody, "y", {"a": number, "b": number})
    with pytest.raises(ConfigError, match="no column day"):
        Averaging(pair, "validation").fit(df, "y", {"a": number, "b": number}, keys=["day"])
    with pytest.raises(ConfigError, match="already has x"):
        Averaging(("a", "x")).fit(df, "y", {"a": number, "x": number}).transform(df)


def test_an_ensemble_may_hold_one_with_members_of_the_same_names(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(0.9,), (0.1,)], "x double")
    a, b = ExpressionModel(expression=col("x")), ExpressionModel(expression=lit(0.5))
    inner = Averaging(("a", "b")).fit(rows, "y", {"a": a, "b": b})
    outer = Averaging(("a", "b", "c")).fit(rows, "y", {"a": a, "b": inner, "c": inner})
    scored = outer.transform(rows)
    assert scored.columns == ["x", "prediction"]
    # (x + 2 (x + 0.5) / 2) / 3
    expected = pytest.approx([2.3 / 3, 0.7 / 3])
    assert [row["prediction"] for row in scored.collect()] == expected
    here = outer.transform_arrow(rows.toArrow())
    assert here is not None and here["prediction"].to_pylist() == expected
