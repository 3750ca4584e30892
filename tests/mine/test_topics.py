"""Topics against Spark ML, scikit-learn, plain Python, and topics that were planted."""

from __future__ import annotations

from itertools import combinations
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction.text import CountVectorizer

from sparkmine.errors import ConfigError, DataError, ModelError
from sparkmine.mine import Topics, TopicsModel, choose_topics
from sparkmine.mine.topics.inference import completion, expectations, infer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PLANTED = [
    text.split()
    for text in (
        "bread rye cake roll bun wheat baked loaf oat crust seed plum",
        "wine red merlot dry vineyard cellar bottle white brut oak port grape",
        "shampoo hair soap skin lotion care scent bath comb nail cream foam",
    )
]
HOW = Topics(k=3, iterations=12, batch_share=0.4, held_out=0.0, min_documents=1, seed=5)


def labels() -> tuple[list[str], np.ndarray]:
    """600 texts of 6 to 10 words, nine of ten words of one planted topic."""
    random = np.random.default_rng(2)
    texts, owners = [], random.choice(3, 600, p=[0.5, 0.3, 0.2])
    for owner in owners:
        others = random.choice(3, random.integers(6, 11))
        own = np.where(random.random(len(others)) < 0.9, owner, others)
        texts.append(" ".join(random.choice(PLANTED[topic]) for topic in own))
    return texts, owners


TEXTS, OWNERS = labels()
COUNTER = CountVectorizer(token_pattern=r"\w+")


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    rows = [*enumerate(TEXTS), (600, None), (601, "?!")]
    return spark.createDataFrame(rows, "id int, label string").repartition(3)


@pytest.fixture(scope="module")
def model(frame: DataFrame) -> TopicsModel:
    return HOW.fit(frame, "label")


def test_planted_topics_are_found(model: TopicsModel) -> None:
    found = [{word for word, _ in words} for words in model.words(12)]
    assert found == [set(words) for words in PLANTED]  # the largest first
    assert np.allclose(model.shares, np.bincount(OWNERS) / 600, atol=0.05)
    topics = model.assign(pa.array(TEXTS)).field("topic").to_numpy()
    assert (topics == OWNERS).mean() > 0.98
    assert model.rows == 600 and model.k == 3 and model.perplexity is None


def test_the_topics_are_those_of_spark_ml(spark: SparkSession, model: TopicsModel) -> None:
    from pyspark.ml.clustering import LDA
    from pyspark.ml.linalg import Vectors

    counts = COUNTER.fit_transform(TEXTS)[:, [COUNTER.vocabulary_[term] for term in model.terms]]
    order = np.argsort(TEXTS, kind="stable")
    rows = [(int(i), Vectors.dense(counts[i].toarray()[0])) for i in order]
    vectors = spark.createDataFrame(rows, ["id", "features"]).coalesce(1)
    estimator = LDA(k=3, maxIter=12, seed=5, optimizer="online", subsamplingRate=0.4)
    reference = estimator.fit(vectors)
    weights = reference.topicsMatrix().toArray().T
    order = np.argsort(-weights.sum(axis=1))
    assert np.allclose(model.topic_words, weights[order], rtol=1e-6)
    assert np.allclose(model.alpha, reference.estimatedDocConcentration().toArray()[order])
    # Spark's inference starts by chance and stops early.
    theirs = reference.transform(vectors).orderBy("id").toPandas().topicDistribution
    expected = np.array([vector.toArray() for vector in theirs])[:, order]
    found = np.array(model.assign(pa.array(TEXTS)).field("topics").to_pylist())
    away = np.abs(found - expected).max(axis=1)
    assert np.quantile(away, 0.95) < 1e-3 and away.max() < 0.01


def test_neither_order_nor_partitions_matter(frame: DataFrame, model: TopicsModel) -> None:
    again = HOW.fit(frame.orderBy("label").repartition(7), "label")
    assert again.terms == model.terms
    assert np.allclose(again.topic_words, model.topic_words, rtol=1e-6)


def test_rows_and_saved_models(frame: DataFrame, model: TopicsModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = TopicsModel.load(tmp_path / "model")
    assert loaded.describe() == model.describe()
    rows = loaded.transform(frame).orderBy("id").toPandas()
    assert list(rows.columns) == ["id", "label", "topic", "topics"]
    assert rows.topic[600:].isna().all() and rows.topics[600:].isna().all()
    # Each text by itself, whatever block it is in.
    alone = pa.concat_arrays([model.assign(pa.array([text])) for text in TEXTS[:50]])
    assert alone.field("topics").to_pylist() == [list(found) for found in rows.topics[:50]]
    assert np.allclose([sum(found) for found in rows.topics[:600]], 1.0)
    examples = loaded.examples(frame, 2)
    for topic, texts in enumerate(examples):
        mine = rows[rows.topic == topic]
        best = mine.topics.apply(max).nlargest(2).index
        assert set(texts) == set(mine.label[best])
    with pytest.raises(ConfigError, match="already has topic"):
        loaded.transform(loaded.transform(frame))
    (tmp_path / "topics.json").write_text("{}")
    with pytest.raises(ModelError, match="topics"):
        TopicsModel._read(tmp_path)


def reference(topic_words: np.ndarray, alpha: float) -> LatentDirichletAllocation:
    """scikit-learn with topics that are given."""
    found = LatentDirichletAllocation(
        len(topic_words), doc_topic_prior=alpha, mean_change_tol=1e-9, max_doc_update_iter=5000
    )
    found.components_ = topic_words
    found.exp_dirichlet_component_ = expectations(topic_words)
    found.doc_topic_prior_ = alpha
    found.n_features_in_ = topic_words.shape[1]
    found.random_state_ = np.random.RandomState(0)
    return found


def random_topics() -> tuple[np.ndarray, Any]:
    random = np.random.default_rng(4)
    from scipy.sparse import csr_array

    return random.gamma(0.5, 2, (4, 30)) + 0.01, csr_array(random.poisson(0.2, (300, 30)) * 1.0)


def test_inference_equals_scikit_learn() -> None:
    topic_words, counts = random_topics()
    counts = counts[counts.sum(axis=1) > 0]
    gamma = infer(counts, expectations(topic_words), np.full(4, 0.3))
    expected = reference(topic_words, 0.3).transform(counts)
    assert np.allclose(gamma / gamma.sum(axis=1, keepdims=True), expected, atol=1e-4)


def test_held_out_halves() -> None:
    topic_words, counts = random_topics()
    first, second = counts[:150], counts[150:]
    found, terms = completion(first, second, topic_words, np.full(4, 0.3))
    expected, size = 0.0, 0
    beta = topic_words / topic_words.sum(axis=1, keepdims=True)
    for one, other in zip(first.toarray(), second.toarray(), strict=True):
        if one.sum() and other.sum():
            theta = reference(topic_words, 0.3).transform(one[None])[0]
            expected += other @ np.log(theta @ beta)
            size += int(other.sum())
    assert terms == size and np.isclose(found, expected, rtol=1e-4)


def test_the_perplexity_of_texts_that_were_held_out(spark: SparkSession) -> None:
    # Ten words a text, of one topic: five of them tell which, the others have a chance in four.
    random = np.random.default_rng(0)
    words = [random.choice(list(words), 10) for words in ("abcd", "efgh") * 100]
    texts = [" ".join(row) for row in words] * 5
    frame = spark.createDataFrame([(text,) for text in texts], "t string")
    how = Topics(k=2, iterations=12, batch_share=0.8, held_out=0.3, min_documents=1, seed=1)
    fitted = how.fit(frame, "t")
    assert fitted.perplexity is not None and 4.0 < fitted.perplexity < 4.8
    assert 600 < fitted.rows < 800 and fitted.rows % 5 == 0  # copies go together


def test_coherence_by_hand(model: TopicsModel) -> None:
    sets = [set(text.split()) for text in TEXTS]
    for words, found in zip(model.words(10), model.coherence, strict=True):
        values = []
        for one, other in combinations([word for word, _ in words], 2):
            # "?!" is a text too.
            both = sum(one in words and other in words for words in sets) / 601
            shares = [sum(word in words for words in sets) / 601 for word in (one, other)]
            values.append(log(both / shares[0] / shares[1]) / -log(both) if both else -1.0)
        assert np.isclose(found, np.mean(values))


def test_the_choice_of_k(frame: DataFrame) -> None:
    found = choose_topics(frame, "label", [6, 2, 3], Topics(**{**HOW.__dict__, "held_out": 0.2}))
    tried = pd.DataFrame(found.describe()["tried"])
    assert tried.k.tolist() == [2, 3, 6]
    assert found.suggested == found.model.k == tried.k[tried.coherence.idxmax()]
    assert np.isclose(np.mean(found.model.coherence), tried.coherence.max())
    assert tried.perplexity[0] > tried.perplexity[1]
    with pytest.raises(ConfigError, match="at least two"):
        choose_topics(frame, "label", [3, 3])


def test_what_cannot_be_is_refused(frame: DataFrame) -> None:
    for wrong in ({"k": 1}, {"batch_share": 0.0}, {"held_out": 1.0}, {"top_k": 0}, {"seed": -1}):
        with pytest.raises(ConfigError):
            Topics(**wrong)
    with pytest.raises(ConfigError, match="not text"):
        HOW.fit(frame, "id")
    with pytest.raises(DataError, match="topics need two"):
        Topics(min_documents=10_000).fit(frame, "label")
