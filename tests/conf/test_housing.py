"""The pipeline conf/housing.yaml, its figures checked by scikit-learn and NumPy."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "housing.yaml"


@pytest.mark.slow
def test_it_runs_and_beats_a_linear_model(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(FILE, warehouse=str(tmp_path / "lake")), lake, lambda event: None).run()

    def table(name: str) -> pd.DataFrame:
        found = lake.table(name).snapshot().dataframe(spark).toPandas()
        return found.set_index("tract").sort_index() if "tract" in found else found

    tracts = table("mart/tracts")
    source = importlib.resources.files("mlxtend") / "data/data/boston_housing.csv"
    raw = np.loadtxt(str(source), delimiter=",")
    assert len(tracts) == len(raw) == 506
    np.testing.assert_allclose(sorted(tracts.value), sorted(raw[:, -1]))
    assert tracts.part.value_counts(normalize=True)["test"] == pytest.approx(0.2, abs=0.06)

    features = table("features/tracts")
    test = features[features.part == "test"]
    figures = table("evaluation/models").set_index(["model", "metric"]).value
    errors = {}
    for name in ("mean", "mlp"):
        scores = table(f"scores/{name}")
        scores = scores[scores.part == "test"]
        errors[name] = mean_squared_error(scores.value, scores.prediction)
        assert figures[name, "mse"] == pytest.approx(errors[name], rel=1e-9)
        assert figures[name, "r2"] == pytest.approx(r2_score(scores.value, scores.prediction))
    training = features[features.part == "train"]
    columns = [name for name in features.columns if name not in ("part", "value")]
    linear = LinearRegression().fit(training[columns], training.value)
    assert errors["mlp"] < mean_squared_error(test.value, linear.predict(test[columns]))
    assert errors["mlp"] < 0.4 * errors["mean"]

    predictions = table("predictions/tracts")
    assert len(predictions) == len(test)
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    assert "Predicted value" in report.read_text()
