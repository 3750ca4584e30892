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
from sparkmine.evaluate.explain import PermutationImportance, Probe, ShapReasons
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
    small = {"max_depth": 4} if "Hist" in estimator else {"n_estimators": 7, "max_depth": 4}
    found = mine.ScikitLearn(estimator=f"sklearn.ensemble:{estimator}", parameters=small, task=task)
    return found.fit(df, FEATURES, label, seed=1)


@pytest.mark.parametrize(
    ("estimator", "task", "label"),
    [
        ("GradientBoostingClassifier", "binary", "yes"),
        ("RandomForestClassifier", "multiclass", "kind"),
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
    explained = ShapReasons(background=10, top=1).fit(probe)
    gaps = df.selectExpr("id", "pair", "if(id = 5, null, a) as a").where("id < 30")
    found = explained.transform(gaps, KEYS).toPandas().set_index("id").sort_index()
    assert len(found) == 30 and found.loc[5, ["reasons", "contributions"]].isna().all()
    found = found.drop(5)
    rows = df.toPandas().set_index("id").sort_index().loc[found.index]
    matrix = np.column_stack([rows.a, np.stack(rows.pair.to_list())])
    scores = model.predict(matrix).reshape(len(matrix), -1)
    chosen = scores.argmax(axis=1)
    assert found.prediction.to_numpy() == pytest.approx(scores[np.arange(len(scores)), chosen])
    if task == "multiclass":
        assert found["class"].to_list() == chosen.tolist()
    for place, row in enumerate(matrix):

        def score(*columns: np.ndarray, output: int = chosen[place]) -> np.ndarray:
            flat = np.stack([column.reshape(-1) for column in columns], axis=1)
            found = model.predict(flat).reshape(len(flat), -1)[:, output]
            return found.reshape(columns[0].shape)

        expected = brute_force(score, row[None], explained.work.background)[0]
        parts = dict(found.contributions.iloc[place])
        # An array is one feature: its elements' values add up.
        wanted = {"a": expected[0], "pair": expected[1] + expected[2]}
        assert parts == pytest.approx(wanted, abs=1e-6)
        reason = found.reasons.iloc[place]
        assert len(reason) == 1
        assert reason[0].startswith("a " if abs(parts["a"]) > abs(parts["pair"]) else "pair (")
    assert PermutationImportance(repeats=1, samples=10)(probe).value > 0.8


def test_what_shap_cannot_explain_is_refused(
    df: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(df, "GradientBoostingClassifier", "multiclass", "kind")
    probe = Probe.of(model, df, FEATURES, task="multiclass", keys=KEYS)
    with pytest.raises(ConfigError, match="shap does not explain a GradientBoostingClassifier"):
        ShapReasons().fit(probe)
    wrong = fitted(df, "HistGradientBoostingClassifier", "binary", "yes")
    with pytest.raises(ConfigError, match="do not add up to the predictions of this Hist"):
        ShapReasons().fit(Probe.of(wrong, df, FEATURES, keys=KEYS))
    linear = Probe.of(ExpressionModel(expression=col("a") / 10), df, ["a"], keys=KEYS)
    with pytest.raises(ConfigError, match="not a ExpressionModel; leave out"):
        ShapReasons().fit(linear)
    with pytest.raises(ConfigError, match="background is 0"):
        ShapReasons(background=0)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'sparkmine\[shap\]'"):
        ShapReasons().fit(probe)
