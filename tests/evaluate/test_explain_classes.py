"""A model of several classes is explained by its probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, log_loss

from sparkmine.evaluate.explain import (
    PartialDependence,
    PermutationImportance,
    Probe,
    Reasons,
    SurrogateTree,
)
from sparkmine.evaluate.explain.copies import permutation
from sparkmine.expr import col
from sparkmine.mine.class_model import ClassModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Probabilities that are linear in a and b, which are between 0 and 1.
MODEL = ClassModel(
    expressions=(
        0.1 + 0.4 * col("a"),
        0.2 + 0.3 * col("b"),
        0.7 - 0.4 * col("a") - 0.3 * col("b"),
    )
)
WEIGHTS = np.array([[0.4, 0, 0], [0, 0.3, 0], [-0.4, -0.3, 0]])


def probabilities(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([0.1 + 0.4 * a, 0.2 + 0.3 * b, 0.7 - 0.4 * a - 0.3 * b], axis=1)


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(4)
    table = pd.DataFrame(random.random(size=(200, 3)), columns=["a", "b", "unread"])
    table["id"] = np.arange(200)
    likely = probabilities(table.a.to_numpy(), table.b.to_numpy()).cumsum(axis=1)
    table["kind"] = (random.random(200)[:, None] > likely).sum(axis=1)
    return spark.createDataFrame(table).repartition(2).cache()


@pytest.fixture(scope="module")
def probe(df: DataFrame) -> Probe:
    return Probe.of(
        MODEL, df, ["a", "b", "unread"], task="multiclass", label="kind", keys=["id"], seed=9
    )


def test_importance_of_classes_is_scikit_learns(probe: Probe) -> None:
    assert probe.labels is not None
    rows = probe.table.to_pandas()
    order = np.random.default_rng(permutation(9, "a", 0)).permutation(200)
    before = probabilities(rows.a.to_numpy(), rows.b.to_numpy())
    after = probabilities(rows.a.to_numpy()[order], rows.b.to_numpy())
    found = PermutationImportance(metric="log_loss", repeats=1, samples=20)(probe)
    assert found.value == pytest.approx(log_loss(probe.labels, before))
    values = {one.feature: one.importance for one in found.features}
    assert values["unread"] == 0
    assert values["a"] == pytest.approx(log_loss(probe.labels, after) - found.value)
    f1 = PermutationImportance(repeats=1, samples=20)(probe)
    classes = before.argmax(axis=1), after.argmax(axis=1)
    expected = [f1_score(probe.labels, one, average="macro") for one in classes]
    assert {one.feature: one.importance for one in f1.features}["a"] == pytest.approx(
        expected[0] - expected[1]
    )


def test_curves_rules_and_reasons_are_of_each_class(df: DataFrame, probe: Probe) -> None:
    (curve,) = PartialDependence(grid=5)(probe, ["a"])
    means = np.array([point.mean for point in curve.points])
    at = np.array([point.at for point in curve.points])
    b = probe.table.column("b").to_numpy().mean()
    assert means == pytest.approx(probabilities(at, np.full(5, b)), rel=1e-9)
    rules = SurrogateTree(depth=2)(probe)
    assert rules.r2 is None and rules.agreement is not None and rules.agreement > 0.8
    assert {rule.prediction for rule in rules.rules} <= {0.0, 1.0, 2.0}
    fitted = Reasons(background=4).fit(probe)
    found = fitted.transform(df, ["id"]).toPandas().set_index("id").sort_index()
    rows = df.toPandas().set_index("id").sort_index()
    scores = probabilities(rows.a.to_numpy(), rows.b.to_numpy())
    chosen = scores.argmax(axis=1)
    assert found["class"].to_list() == chosen.tolist()
    assert found.prediction.to_numpy() == pytest.approx(scores.max(axis=1))
    means = fitted.background.to_pandas()[["a", "b", "unread"]].mean()
    expected = WEIGHTS[chosen] * (rows[["a", "b", "unread"]] - means).to_numpy()
    parts = found.contributions.apply(dict).apply(pd.Series)[["a", "b", "unread"]]
    assert parts.to_numpy() == pytest.approx(expected, abs=1e-9)
