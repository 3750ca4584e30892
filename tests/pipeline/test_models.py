"""The stage `classical`: its YAML, calibrated probabilities, decisions, and what goes wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from sparkmine import mine
from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.stages import estimators as blocks
from sparkmine.stages.base import Context
from sparkmine.stages.classical import Classical
from sparkmine.stages.train import Train

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KINDS: list[tuple[type[Any], str, type[Any], str]] = [
    (blocks.LogisticModel, "logistic", mine.LogisticRegression, "binary"),
    (blocks.LinearModel, "linear", mine.LinearRegression, "regression"),
    (blocks.SvmModel, "svm", mine.LinearSVM, "binary"),
    (blocks.BayesModel, "naive_bayes", mine.NaiveBayes, "multiclass"),
    (blocks.TreeModel, "tree", mine.DecisionTree, "regression"),
    (blocks.ForestModel, "random_forest", mine.RandomForest, "multiclass"),
    (blocks.BoostedModel, "boosted_trees", mine.GradientBoostedTrees, "regression"),
]

PIPELINE = """
pipeline: visits
warehouse: {lake}
seed: 4
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: visits.csv}}
    columns: {{id: int, day: int, spend: double, kind: int, again: int}}
    table: raw/visits
  - stage: classical
    name: model
    input: raw/visits
    features: select("spend")
    keys: id
    label: {label}
    train: day < 5
    {more}
    table: scores/model
"""


JUDGED = """
  - stage: evaluate
    name: judge
    models: {model: scores/model}
    where: id >= 200
    label: again
    group: id
    threshold: 0.4
    samples: 20
    table: evaluation/models
  - stage: report
    name: report
    title: Visits
    table: reports/visits
"""


def written(folder: Path, more: str, label: str = "again") -> Path:
    random = np.random.default_rng(3)
    lines = ["id,day,spend,kind,again"]
    for number in range(400):
        spend = random.normal()
        again = int(spend + random.normal() > 0.8)
        lines.append(f"{number},{number % 10},{spend},{int(spend > 0) + int(spend > 1)},{again}")
    (folder / "visits.csv").write_text("\n".join(lines) + "\n")
    file = folder / "visits.yaml"
    file.write_text(PIPELINE.format(lake=folder / "lake", more=more, label=label))
    return file


@pytest.mark.parametrize(("block", "kind", "estimator", "task"), KINDS)
def test_parameters_and_defaults_are_the_same(
    block: Any, kind: str, estimator: Any, task: str
) -> None:
    found = block(kind=kind)
    assert set(found.model_dump()) - {"kind"} == {one.name for one in fields(estimator)} - {"task"}
    assert found.estimator(task) == estimator(task=task)


def test_decisions(spark: SparkSession, tmp_path: Path) -> None:
    more = """
    model: {kind: tree, max_depth: 3, class_weight: {"0": 1, "1": 4}}
    calibration: {method: sigmoid, where: day between 5 and 6}
    costs: {false_positive: 1, false_negative: 8, where: day = 7}
    score: day > 7
"""
    lake = Lake(tmp_path / "lake", spark)
    file = written(tmp_path, more)
    file.write_text(file.read_text() + JUDGED)
    done = Runner(load_pipeline(file), lake, lambda event: None).run()
    scores = lake.table("scores/model").snapshot()
    found = scores.dataframe(spark).toPandas()
    assert list(found.columns) == ["id", "again", "prediction", "decision"]
    commit = next(iter(lake.table("scores/model").commits()))
    metrics = (commit.metadata or {})["metrics"]
    chosen = metrics["decision"]
    calibration = metrics["calibration"]
    assert (calibration["method"], calibration["rows"], chosen["rows"]) == ("sigmoid", 80, 40)
    curve = np.array(calibration["curve"])
    wanted = 1 / (1 + np.exp(calibration["slope"] * curve[:, 0] + calibration["intercept"]))
    np.testing.assert_allclose(curve[:, 1], wanted, rtol=1e-9)
    assert chosen["expected_cost"] <= chosen["expected_cost_at_half"]
    assert (found["decision"] == (found["prediction"] >= chosen["threshold"])).all()
    # One column: what the tree gained is all its own.
    assert metrics["heaviest"] == {
        "kind": "importances",
        "columns": 1,
        "used": 1,
        "top": [["spend", [1.0], [1.0]]],
    }
    # On rows that nothing was chosen on, beside the evaluation's threshold.
    (judged,) = (done["judge"].metadata or {})["metrics"]["decisions"]
    unseen = found[found["id"] >= 200]
    for which, taken in (("chosen", unseen["decision"]), ("common", unseen["prediction"] >= 0.4)):
        matrix = confusion_matrix(unseen["again"], taken)
        assert judged[which]["counts"] == matrix.tolist()
        assert judged[which]["cost"] == pytest.approx((matrix[0, 1] + 8 * matrix[1, 0]) / 40)
    assert judged["chosen"]["counts"] != judged["common"]["counts"]
    assert judged["expected_cost"] == chosen["expected_cost"]
    (page,) = (tmp_path / "lake" / "_artifacts" / "report").glob("*/report.html")
    assert f"a row cost <b>{judged['chosen']['cost']:.4f}</b>" in page.read_text()
    # Four times the weight of class 1 was corrected to its frequency.
    assert found["prediction"].mean() == pytest.approx(found["again"].mean(), abs=0.12)


def test_several_classes(spark: SparkSession, tmp_path: Path) -> None:
    more = "task: multiclass\n    model: {kind: naive_bayes}"
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(written(tmp_path, more, "kind")), lake, lambda event: None).run()
    found = lake.table("scores/model").snapshot().dataframe(spark)
    assert found.dtypes[2:] == [("prediction", "int"), ("probability", "array<double>")]
    table = found.toPandas()
    assert (table["prediction"] == table["kind"]).mean() > 0.9


def test_keys_and_label_are_no_features(spark: SparkSession, lake: Lake, tmp_path: Path) -> None:
    """Of a table that no recipe made, whose columns are numbers all of them."""
    rows = [(n, float(n % 7), (n % 7) / 3, 1.0, n % 2) for n in range(40)]
    lake.table("raw/rows").write(
        spark.createDataFrame(rows, "id long, x double, y double, weight double, odd int")
    )
    table = lake.table("raw/rows")
    context = Context(
        spark=spark,
        lake=lake,
        stage="model",
        run_id="",
        fingerprint="",
        seed=1,
        date="",
        code_version="",
        base=tmp_path,
        inputs={"raw/rows": table.snapshot()},
        commits={"raw/rows": next(iter(table.commits()))},
        progress=lambda event: None,
    )
    block = {"name": "model", "input": "raw/rows", "table": "scores/model"}
    block |= {"keys": ["id"], "label": "odd", "train": "id < 30"}
    tree = Classical(stage="classical", model=blocks.TreeModel(kind="tree", max_depth=2), **block)
    model, metrics = tree.fit(context)
    assert metrics["features"] == 3
    assert set(model.details["importances"]) == {"x", "y", "weight"}
    for kind in ("autoencoder", "gan", "mlp"):
        network = Train(stage="train", model={"kind": kind}, weight="weight", **block)
        assert network.learned(context) == ["x", "y"], kind


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("task: multiclass\n    model: {kind: boosted_trees}", "stage model: .* take RandomForest"),
        ("task: regression\n    model: {kind: svm}", "stage model: model: LinearSVM is for binary"),
        ("model: {kind: linear}", "stage model: model: LinearRegression is for regression"),
        ("model: {kind: logistic, class_weight: {'0': 0, '1': 1}}", "Input should be 'balanced'"),
        ("model: {kind: random_forest, max_depth: 31}", "less than or equal to 30"),
        (
            "task: regression\n    model: {kind: linear}\n    calibration: {where: day = 5}",
            "stage model: calibration is for a binary task, not regression",
        ),
        (
            "model: {kind: tree}\n"
            "    costs: {false_positive: 1, false_negative: 1, true_positive: 3, where: day = 5}",
            "stage model: false_negative costs 1",
        ),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_pipeline(written(tmp_path, more))


def test_rows_that_the_model_learnt_from(spark: SparkSession, tmp_path: Path) -> None:
    more = "model: {kind: tree}\n    calibration: {where: day between 4 and 6}"
    runner = Runner(
        load_pipeline(written(tmp_path, more)), Lake(tmp_path / "lake", spark), lambda event: None
    )
    with pytest.raises(
        ConfigError, match=r"calibration.where takes rows that the model learns from"
    ):
        runner.run()
