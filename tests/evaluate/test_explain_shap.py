"""Reasons of scikit-learn's trees by shap, against Shapley values by all subsets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sparkmine import mine
from sparkmine.errors import ConfigError, ExtraMissingError
from sparkmine.evaluate.explain import Probe, ShapReasons
from sparkmine.expr import col
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.scikit import ScikitLearnModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("shap")

FEATURES = ["a", "pair"]
KEYS = ["id"]


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(8)
    table = pd.DataFrame({"id": np.arange(120), "a": random.normal(size=120)})
    pair = random.normal(size=(120, 2))
    table["pair"] = list(pair)
    table["kind"] = np.digitize(table.a * pair[:, 0] + pair[:, 1], [-0.5, 0.5])
    table["yes"] = (table.kind > 0).astype(int)
    return spark.createDataFrame(table).repartition(2).cache()


def fitted(df: DataFrame, estimator: str, task: str, label: str) -> ScikitLearnModel:
    found = mine.ScikitLearn(
        estimator=f"sklearn.ensemble:{estimator}",
        parameters={"n_estimators": 7, "max_depth": 4},
        task=task,
    )
    return found.fit(df, FEATURES, label, seed=1)


@pytest.mark.parametrize(
    ("estimator", "task", "label"),
    [
        ("RandomForestClassifier", "multiclass", "kind"),
        pytest.param("GradientBoostingClassifier", "binary", "yes", marks=pytest.mark.slow),
    ],
)
def test_values_of_trees_are_shapley_values(
    df: DataFrame,
    brute_force: Callable[..., np.ndarray],
    estimator: str,
    task: str,
    label: str,
) -> None:
    model = fitted(df, estimator, task, label)
    probe = Probe.of(model, df, FEATURES, task=task, label=label, keys=KEYS)
    explained = ShapReasons(background=3, top=1).fit(probe)
    gaps = df.selectExpr("id", "pair", "if(id = 5, null, a) as a").where("id < 8")
    found = explained.transform(gaps, KEYS).toPandas().set_index("id").sort_index()
    assert len(found) == 8 and found.loc[5, ["reasons", "contributions"]].isna().all()
    found = found.drop(5)
    rows = df.toPandas().set_index("id").sort_index().loc[found.index]
    matrix = np.column_stack([rows.a, np.stack(rows.pair.to_list())])
    learner = model.fitted()

    def probabilities(rows: np.ndarray) -> np.ndarray:
        found = learner.predict_proba(rows)
        return found[:, 1:] if task == "binary" else found

    scores = probabilities(matrix)
    chosen = scores.argmax(axis=1)
    assert found.prediction.to_numpy() == pytest.approx(scores[np.arange(len(scores)), chosen])
    if task == "multiclass":
        assert found["class"].to_list() == chosen.tolist()
    background = explained.work.background

    def score(*columns: np.ndarray) -> np.ndarray:
        """[outputs, ...] for columns of one shape: log-odds where trees are added up."""
        flat = np.stack([column.reshape(-1) for column in columns], axis=1)
        found = probabilities(flat)
        found = np.log(found / (1 - found)) if task == "binary" else found
        return found.T.reshape(-1, *columns[0].shape)

    expected = np.zeros((len(matrix), 3))
    for output in range(scores.shape[1]):
        mine = chosen == output
        if not mine.any():
            continue

        def one(*columns: np.ndarray, output: int = output) -> np.ndarray:
            return score(*columns)[output]

        for other in background:
            parts = brute_force(one, matrix[mine], other[None])
            if task == "binary":
                # shap scales the values of the log-odds to the difference of probabilities.
                moved = scores[mine, 0] - probabilities(other[None])[0, 0]
                parts *= (moved / np.where(parts.sum(axis=1) == 0, 1, parts.sum(axis=1)))[:, None]
            expected[mine] += parts / len(background)
    for place, (parts, reasons) in enumerate(zip(found.contributions, found.reasons, strict=True)):
        # An array is one feature: its elements' values add up.
        wanted = {"a": expected[place, 0], "pair": expected[place, 1:].sum()}
        assert dict(parts) == pytest.approx(wanted, abs=1e-6)
        first = max(wanted, key=lambda name: abs(wanted[name]))
        assert len(reasons) == 1 and reasons[0].startswith(f"{first} ")


def test_what_shap_cannot_explain_is_refused(
    df: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(df, "GradientBoostingClassifier", "multiclass", "kind")
    probe = Probe.of(model, df, FEATURES, task="multiclass", keys=KEYS)
    with pytest.raises(ConfigError, match="shap does not explain a GradientBoostingClassifier"):
        ShapReasons().fit(probe)
    # Its thresholds are values that occur, and shap rounds them.
    many = df.sparkSession.createDataFrame(
        pd.DataFrame({"x": np.random.default_rng(3).normal(size=600)})
    ).selectExpr("x", "3 * x as y")
    learner = mine.ScikitLearn(
        estimator="sklearn.ensemble:HistGradientBoostingRegressor", task="regression"
    )
    wrong = learner.fit(many, ["x"], "y", seed=1)
    with pytest.raises(ConfigError, match="do not add up to the predictions of this Hist"):
        ShapReasons().fit(Probe.of(wrong, many, ["x"], task="regression"))
    linear = Probe.of(ExpressionModel(expression=col("a") / 10), df, ["a"], keys=KEYS)
    with pytest.raises(ConfigError, match="not a ExpressionModel; leave out"):
        ShapReasons().fit(linear)
    with pytest.raises(ConfigError, match="background is 0"):
        ShapReasons(background=0)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'sparkmine\[shap\]'"):
        ShapReasons().fit(probe)
