"""Reasons of scikit-learn's trees by shap, against Shapley values by all subsets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
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


@pytest.mark.parametrize(
    ("estimator", "label"),
    [
        (mine.DecisionTree(max_depth=3), "yes"),
        (mine.RandomForest(task="multiclass", trees=4, max_depth=3), "kind"),
        (mine.RandomForest(task="regression", trees=3, max_depth=3), "a_pair"),
        (mine.GradientBoostedTrees(trees=5, max_depth=3), "yes"),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, str) else one,
)
def test_values_of_spark_mls_trees_are_shapley_values(
    df: DataFrame, brute_force: Callable[..., np.ndarray], estimator: Any, label: str
) -> None:
    rows = df.withColumn("a_pair", df.a * df.pair[0] + df.pair[1]).where("id < 60")
    model = estimator.fit(rows, FEATURES, label, seed=1)
    task = estimator.task
    probe = Probe.of(model, rows, FEATURES, task=task, label=label, keys=KEYS)
    explained = ShapReasons(background=3).fit(probe)
    found = explained.transform(rows.where("id < 4"), KEYS).toPandas().set_index("id").sort_index()
    here = rows.where("id < 4").toPandas().set_index("id").sort_index()
    names = [name for name, _ in explained.work.trees.columns]
    parts = {"a": [here.a], "pair": list(np.stack(here.pair.to_list()).T)}
    matrix = np.column_stack([column for name in names for column in parts[name]])

    def scores(*columns: np.ndarray) -> np.ndarray:
        """The model's own numbers [k, ...] by Arrow, for columns of one shape."""
        flat = dict(enumerate(np.stack([column.reshape(-1) for column in columns])))
        made = {}
        for name in names:
            if name == "a":
                made[name] = pa.array(flat.pop(min(flat)))
            else:
                pair = np.column_stack([flat.pop(min(flat)), flat.pop(min(flat))])
                made[name] = pa.array(list(pair))
        table = model.transform_arrow(pa.table(made))
        given = "probability" if task == "multiclass" else "prediction"
        numbers = np.array(table.column(given).to_pylist(), float).reshape(len(table), -1)
        return numbers.T.reshape(-1, *columns[0].shape)

    chosen = scores(*matrix.T).argmax(axis=0)
    boosted = isinstance(estimator, mine.GradientBoostedTrees)
    for place, told in enumerate(found.contributions):
        expected = np.zeros(matrix.shape[1])
        for other in explained.work.background:

            def one(*columns: np.ndarray, place: int = place) -> np.ndarray:
                values = scores(*columns)[chosen[place]]
                return np.log(values / (1 - values)) if boosted else values

            shares = brute_force(one, matrix[place : place + 1], other[None])[0]
            if boosted:
                # shap scales the values of the log-odds to the difference of probabilities.
                ends = scores(*np.stack([matrix[place], other]).T)[0]
                shares *= (ends[0] - ends[1]) / (shares.sum() or 1)
            expected += shares / len(explained.work.background)
        owners = [name for name in names for _ in parts[name]]
        wanted = {
            name: sum(e for e, owner in zip(expected, owners, strict=True) if owner == name)
            for name in FEATURES
        }
        assert dict(told) == pytest.approx(wanted, abs=1e-6)  # shap weighs in float32


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
    with pytest.raises(ConfigError, match="not a ExpressionModel of another kind"):
        ShapReasons().fit(linear)
    with pytest.raises(ConfigError, match="background is 0"):
        ShapReasons(background=0)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'sparkmine\[shap\]'"):
        ShapReasons().fit(probe)
