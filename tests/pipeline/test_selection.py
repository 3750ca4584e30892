"""Search, stacking and weights by validation in a pipeline: scores, models, trials, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss, roc_auc_score

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.model import Model
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: households
warehouse: {lake}
seed: 4
parameters:
  train: "week <= 30"
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: households.csv}}
    columns: {{id: int, week: int, sales: double, visits: double, again: int}}
    table: raw/households
  - stage: search
    name: boosted
    input: raw/households
    table: scores/boosted
    features: select("sales", "visits")
    keys: [id, week]
    label: again
    train: ${{train}}
    model:
      kind: scikit_learn
      estimator: sklearn.ensemble:HistGradientBoostingClassifier
      parameters: {{max_iter: 10}}
    random:
      trials: {trials}
      of:
        learning_rate: {{log_uniform: [0.01, 0.5]}}
        max_depth: {{integer: [1, 4]}}
        l2_regularization: {{choice: [0.0, -1.0]}}
    folds: {{kind: time, column: week, k: 2, gap: 1}}
    metric: {metric}
  - stage: stacking
    name: stacked
    input: raw/households
    table: scores/stacked
    features: select("sales", "visits")
    keys: [id, week]
    label: again
    train: ${{train}}
    members:
      linear: {{kind: scikit_learn, estimator: "sklearn.linear_model:LogisticRegression"}}
      tree:
        kind: scikit_learn
        estimator: sklearn.tree:DecisionTreeClassifier
        parameters: {{max_depth: 2}}
    final: {{kind: logistic}}
    folds: {{kind: stratified, k: 2}}
  - stage: ensemble
    name: both
    method: averaging
    members: {{boosted: scores/boosted, stacked: scores/stacked}}
    weights: validation
    choose_on: "{choose_on}"
    keys: [id, week]
    label: again
    table: scores/both
  - stage: report
    name: report
    title: Households
    table: reports/households
"""


def written(folder: Path, **changed: object) -> Path:
    random = np.random.default_rng(6)
    rows = pd.DataFrame({"id": np.arange(400), "week": np.arange(400) // 10})
    rows["sales"], rows["visits"] = random.normal(size=400), random.normal(size=400)
    rows["again"] = (rows["sales"] * rows["visits"] + random.logistic(size=400) / 3 > 0).astype(int)
    rows.to_csv(folder / "households.csv", index=False)
    file = folder / "households.yaml"
    given = {"trials": 6, "metric": "roc_auc", "choose_on": "week between 31 and 34", **changed}
    file.write_text(PIPELINE.format(lake=folder / "lake", **given))
    return file


def test_blocks_survive_the_ledger(tmp_path: Path) -> None:
    """A replay reads a stage's block from there."""
    pipeline = load_pipeline(written(tmp_path))
    assert [type(stage).kind for stage in pipeline.stages][1:4] == [
        "search",
        "stacking",
        "ensemble",
    ]
    for stage in pipeline.stages:
        text = json.dumps(stage.model_dump(mode="json"))
        assert type(stage).model_validate_json(text) == stage


def test_what_the_yaml_refuses(tmp_path: Path) -> None:
    for wrong in (
        {"metric": "rmse"},
        {"trials": 0},
        {"trials": "3\n    grid: {max_depth: [1]}"},
        {"trials": '3\n        colour: {uniform: [1, 2], choice: ["red"]}'},
    ):
        with pytest.raises(ConfigError):
            load_pipeline(written(tmp_path, **wrong))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stacked.final.kind=linear", "stage stacked: final: LinearRegression is for regression"),
        (
            "stacked.members.tree.estimator=sklearn.linear_model:Lasso",
            "stage stacked: members.tree: sklearn.linear_model:Lasso",
        ),
        ("boosted.model.parameters.max_it=3", "stage boosted: model: .*no parameter max_it"),
        (
            "boosted.random.of.max_depth.integer=[4, 1]",
            r"boosted: random\.of\.max_depth: from 4 to",
        ),
    ],
)
def test_estimators_are_tried_before_spark_starts(
    tmp_path: Path, setting: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_pipeline(written(tmp_path), settings=[setting])


@pytest.mark.slow
def test_models_are_searched_stacked_and_weighted(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(written(tmp_path)), lake, lambda event: None).run()
    tables = {name: lake.table(f"scores/{name}") for name in ("boosted", "stacked", "both")}
    scores = {
        name: table.snapshot().dataframe(spark).toPandas().set_index(["id", "week"]).sort_index()
        for name, table in tables.items()
    }
    # It has learnt what the two columns say together only.
    unseen = scores["boosted"].query("week > 30")
    assert roc_auc_score(unseen["again"], unseen["prediction"]) > 0.8
    # All trials are in their table, those that failed too, and in the metrics from the best on.
    trials = lake.table("trials/boosted").snapshot().dataframe(spark).toPandas()
    trials = trials.sort_values("trial")
    assert trials["trial"].tolist() == list(range(6))
    settings = [json.loads(text) for text in trials["parameters"]]
    failed = [one["l2_regularization"] < 0 for one in settings]
    assert trials["error"].notna().tolist() == failed
    assert 0 < sum(failed) < 6
    assert all(len(found) == 2 for found in trials["scores"][~np.array(failed)])
    best = trials.loc[trials["mean"].idxmax()]
    assert bool(best["chosen"])
    assert trials["chosen"].sum() == 1
    commit = next(iter(lake.table("scores/boosted").commits()))
    figures = commit.metadata["metrics"]["search"]
    assert (figures["tried"], figures["failed"]) == (6, sum(failed))
    assert sorted(trial["number"] for trial in figures["trials"]) == list(range(6))
    assert figures["trials"][0]["parameters"] == json.loads(best["parameters"])
    # The saved model scores as the table says, and so does the stack.
    for name in ("boosted", "stacked"):
        (manifest,) = (tmp_path / "lake" / "_artifacts" / name).glob("*/manifest.json")
        rows = lake.table("raw/households").snapshot().dataframe(spark)
        again = Model.load(manifest.parent).transform(rows).toPandas()
        again = again.set_index(["id", "week"]).sort_index()
        np.testing.assert_allclose(again["prediction"], scores[name]["prediction"], rtol=1e-12)
    # The weights have the least log loss on the rows that they are chosen on.
    one, other, both = (
        scores[name].query("week >= 31 and week <= 34") for name in ("boosted", "stacked", "both")
    )

    def loss(weight: float) -> float:
        mixed = weight * one["prediction"] + (1 - weight) * other["prediction"]
        return float(log_loss(one["again"], mixed))

    wanted = minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-9})
    found = next(iter(lake.table("scores/both").commits())).metadata["metrics"]
    assert found["weights"]["boosted"] == pytest.approx(wanted.x, abs=1e-4)
    assert found["loss"]["weighted"] == pytest.approx(wanted.fun, abs=1e-7)
    assert log_loss(both["again"], both["prediction"]) == pytest.approx(wanted.fun, abs=1e-7)
    (page,) = (tmp_path / "lake" / "_artifacts" / "report").glob("*/report.html")
    text = page.read_text()
    assert "6 candidates on 2 folds, by ROC-AUC" in text
    assert "(chosen)" in text
    assert f"<span>boosted</span><span>{100 * found['weights']['boosted']:.1f}" in text
    assert f'<td class="n">{wanted.fun:.4f}</td>' in text
    assert "logistic learns from predictions on 2 folds" in text
    # What the final model makes of its members.
    heaviest = next(iter(tables["stacked"].commits())).metadata["metrics"]["heaviest"]
    assert {name for name, *_ in heaviest["top"]} == {"linear", "tree"}
    assert 'aria-label="Coefficients of stacked"' in text
    assert f"{6 - sum(failed)} candidates of boosted; best ROC-AUC {best['mean']:.4f}" in text
