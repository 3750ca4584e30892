"""Search against scikit-learn's own, on the same folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from sparkmine import mine
from sparkmine.errors import ConfigError, DataError
from sparkmine.mine import ScikitLearn
from sparkmine.selection import (
    Choice,
    GroupKFold,
    Integer,
    KFold,
    LogUniform,
    StratifiedKFold,
    Uniform,
    search,
)
from sparkmine.selection.candidates import drawn, grid_of, with_parameters

FEATURES = ["spend", "visits", "taste"]
BOOSTED = ScikitLearn(
    estimator="sklearn.ensemble:HistGradientBoostingClassifier", parameters={"max_iter": 10}
)


def test_a_grid_is_searched_as_by_scikit_learn(spark: SparkSession, households: Any) -> None:
    grid = {"max_depth": [1, 3], "learning_rate": [0.05, 0.3, -1.0]}
    how = StratifiedKFold(keys=("id",), k=3)
    events: list[Any] = []
    result = search(
        BOOSTED,
        households.snapshot,
        FEATURES,
        "shops",
        folds=how,
        grid=grid,
        metric="log_loss",
        seed=1,
        spark=spark,
        progress=events.append,
    )
    splits = households.splits(how.split(households.snapshot, "shops", spark))
    theirs = GridSearchCV(
        HistGradientBoostingClassifier(max_iter=10, random_state=1),
        {**grid, "learning_rate": [0.05, 0.3]},
        scoring="neg_log_loss",
        cv=splits,
    ).fit(households.matrix, households.rows["shops"])
    good = [trial for trial in result.trials if trial.error is None]
    # Theirs vary the names in alphabetical order.
    places = [theirs.cv_results_["params"].index(trial.parameters) for trial in good]
    assert places == [0, 2, 1, 3]
    np.testing.assert_allclose(
        [t.mean for t in good], -theirs.cv_results_["mean_test_score"][places], rtol=1e-9
    )
    one = [-theirs.cv_results_[f"split{n}_test_score"][0] for n in range(3)]
    np.testing.assert_allclose(good[0].scores, one, rtol=1e-9)
    assert good[0].standard_error == pytest.approx(np.std(one, ddof=1) / math.sqrt(3), rel=1e-9)
    assert result.chosen.parameters == theirs.best_params_
    assert result.best == result.chosen == result.ranked[0]
    # The model of the best parameters, fitted on all rows.
    assert result.model is not None
    np.testing.assert_allclose(
        result.model.predict(households.matrix),  # type: ignore[attr-defined]
        theirs.predict_proba(households.matrix)[:, 1],
        rtol=1e-9,
    )
    # A candidate that raises is a trial with its error.
    failed = [trial for trial in result.trials if trial.error is not None]
    assert [trial.parameters["learning_rate"] for trial in failed] == [-1.0, -1.0]
    assert "The 'learning_rate' parameter" in str(failed[0].error)
    assert math.isnan(failed[0].mean)
    assert result.ranked[-2:] == failed
    assert [event["number"] for event in events] == list(range(6))
    assert events[2]["mean"] is None


def test_groups_several_classes_and_numbers(spark: SparkSession, households: Any) -> None:
    how = GroupKFold(column="household", k=3)
    splits = households.splits(how.split(households.snapshot, "kind"))
    logistic = ScikitLearn(estimator="sklearn.linear_model:LogisticRegression", task="multiclass")
    ours = search(
        logistic,
        households.snapshot.where("week > 0"),
        FEATURES,
        "kind",
        folds=how,
        grid=[{"C": [0.1]}, {"fit_intercept": [False]}],
        metric="f1_macro",
        refit=False,
        spark=spark,
    )
    assert ours.model is None
    for trial, settings in zip(ours.trials, [{"C": 0.1}, {"fit_intercept": False}], strict=True):
        theirs = cross_val_score(
            LogisticRegression(**settings),
            households.matrix,
            households.rows["kind"],
            scoring="f1_macro",
            cv=splits,
        )
        np.testing.assert_allclose(trial.scores, theirs, rtol=1e-9)
    ridge = ScikitLearn(estimator="sklearn.linear_model:Ridge", task="regression")
    found = search(
        ridge,
        households.snapshot,
        FEATURES,
        "amount",
        folds=how,
        grid={"alpha": [0.1, 1.0, 10.0, 100.0, 1e4]},
        choose="one_standard_error",
        refit=False,
        spark=spark,
    )
    rmse = -cross_val_score(
        Ridge(alpha=0.1),
        households.matrix,
        households.rows["amount"],
        scoring="neg_root_mean_squared_error",
        cv=splits,
    )
    assert found.metric == "rmse"
    np.testing.assert_allclose(found.trials[0].scores, rmse, rtol=1e-9)
    within = found.best.mean + found.best.standard_error
    assert found.chosen == next(trial for trial in found.trials if trial.mean <= within)


@dataclass(frozen=True, kw_only=True)
class Fragile(mine.LogisticRegression):
    """Raises what is no error of ours for one of its parameters."""

    def fit(self, *args: Any, **how: Any) -> Any:
        if self.l2 == 7.0:
            raise ZeroDivisionError("of the seventh kind")
        return super().fit(*args, **how)


def test_what_spark_trains_is_searched_one_after_the_other(
    spark: SparkSession, households: Any
) -> None:
    how = KFold(keys=("id",), k=2)
    found = search(
        Fragile(standardize=False, tolerance=1e-10),
        households.snapshot,
        FEATURES,
        "shops",
        folds=how,
        grid={"l2": [7.0, 0.02]},
        refit=False,
        spark=spark,
    )
    rows = households.rows
    for (train, test), score in zip(
        households.splits(how.split(households.snapshot, "shops")),
        found.trials[1].scores,
        strict=True,
    ):
        alone = LogisticRegression(C=1 / (0.02 * len(train)), tol=1e-10)
        alone.fit(households.matrix[train], rows["shops"][train])
        wanted = roc_auc_score(
            rows["shops"][test], alone.predict_proba(households.matrix[test])[:, 1]
        )
        assert score == pytest.approx(wanted, abs=1e-4)
    assert found.trials[0].error == "ZeroDivisionError: of the seventh kind"
    assert found.best.parameters == {"l2": 0.02}


def test_random_candidates_follow_their_distributions() -> None:
    kinds = {
        "rate": LogUniform(0.001, 10.0),
        "share": Uniform(-1.0, 1.0),
        "depth": Integer(2, 5),
        "loss": Choice(("a", "b")),
    }
    found = drawn(400, kinds, seed=3)
    assert found == drawn(400, kinds, seed=3)
    assert found[:5] != drawn(5, kinds, seed=4)
    rates = np.log10([one["rate"] for one in found])
    # Means of uniform numbers, within five standard errors.
    assert abs(rates.mean() + 1) < 5 * 4 / np.sqrt(12 * 400)
    assert abs(np.mean([one["share"] for one in found])) < 5 * 2 / np.sqrt(12 * 400)
    assert rates.min() >= -3
    assert rates.max() <= 1
    assert {one["depth"] for one in found} == {2, 3, 4, 5}
    assert {one["loss"] for one in found} == {"a", "b"}
    assert len(drawn(50, {"depth": Integer(1, 3)}, seed=0)) == 3  # there are no more
    assert grid_of({"a": [1, 2], "b": ["x"]}) == [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]
    for wrong in (lambda: Uniform(1.0, 1.0), lambda: LogUniform(0.0, 1.0), lambda: Choice(())):
        with pytest.raises(ConfigError):
            wrong()


def test_parameters_of_estimators_and_of_what_they_hold() -> None:
    from sparkmine.train import MLP, Training

    training = Training(network=MLP(hidden=(8,)), epochs=1)
    changed = with_parameters(training, {"epochs": 4, "network.hidden": (2, 2), "network.l2": 0.1})
    assert changed == Training(network=MLP(hidden=(2, 2), l2=0.1), epochs=4)
    with pytest.raises(ConfigError, match=r"has no parameter C; it has .*l2, l1"):
        with_parameters(mine.LogisticRegression(), {"C": 1.0})
    with pytest.raises(ConfigError, match="epochs has no parameters of its own"):
        with_parameters(training, {"epochs.x": 1})


def test_searches_that_cannot_be(spark: SparkSession, households: Any) -> None:
    how = KFold(keys=("id",), k=2)
    snapshot = households.snapshot

    def tried(**arguments: Any) -> Any:
        given = {"folds": how, "spark": spark, **arguments}
        return search(BOOSTED, snapshot, ["spend"], "shops", **given)

    with pytest.raises(ConfigError, match="either grid= or random="):
        tried()
    with pytest.raises(ConfigError, match="has no parameter depth; it has"):
        tried(grid={"depth": [1, 2]})
    with pytest.raises(DataError, match="unknown metric rmse"):
        tried(grid={"max_depth": [1]}, metric="rmse")
    with pytest.raises(ConfigError, match="needs a grid"):
        tried(random=(3, {"max_depth": Integer(1, 3)}), choose="one_standard_error")
    with pytest.raises(ConfigError, match="max_depth needs a list of values"):
        tried(grid={"max_depth": 3})
    with pytest.raises(DataError, match="none of 2 candidates could be measured; the first says"):
        tried(grid={"max_depth": [-1, -2]})
