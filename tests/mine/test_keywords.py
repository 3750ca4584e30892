"""Keywords against SciPy's log-likelihood ratio and plain Python."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from sparkmine.errors import ConfigError, DataError, ModelError
from sparkmine.mine import Keywords, KeywordsModel
from sparkmine.mine.keywords import log_likelihood
from sparkmine.stats.tokens import Tokens

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SHELVES = {"bakery": ["bread", "rye", "cake"], "cellar": ["wine", "red", "cake"], "gone": ["rye"]}


def shop() -> pd.DataFrame:
    """300 labels of three shelves, whose words overlap, and rows that do not count."""
    random = np.random.default_rng(3)
    rows = []
    for number in range(300):
        shelf = ["bakery", "bakery", "cellar"][number % 3] if number < 297 else "gone"
        own = random.choice(SHELVES[shelf], random.integers(1, 4))
        rows.append((shelf, " ".join([*own, *random.choice(["the", "new", "red"], 2)])))
    rows += [(None, "bread wine"), ("bakery", None)]
    return pd.DataFrame(rows, columns=["shelf", "label"])


@pytest.fixture(scope="module")
def labels(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(shop(), "shelf string, label string").repartition(3)


@pytest.fixture(scope="module")
def model(labels: DataFrame) -> KeywordsModel:
    return Keywords(top=3, min_documents=2).fit(labels, "label", "shelf")


def expected(top: int, least: int, score: float) -> pd.DataFrame:
    rows = shop().dropna()
    words = {index: set(re.findall(r"\w+", text)) for index, text in rows.label.items()}
    found = []
    for shelf, own in rows.groupby("shelf"):
        others = rows.drop(own.index)
        terms = Counter(word for index in own.index for word in words[index])
        kept = []
        for term, inside in terms.items():
            outside = sum(term in words[index] for index in others.index)
            table = [[inside, len(own) - inside], [outside, len(others) - outside]]
            if not inside / len(own) > outside / len(others) or inside < least:
                continue
            value = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
            texts = sorted(own.label, key=lambda text: (len(text), text))
            example = next(text for text in texts if term in text.split())
            shares = inside / len(own), outside / len(others)
            if value >= score:
                kept.append((shelf, term, inside, *shares, value, example))
        kept.sort(key=lambda row: (-row[5], row[1]))
        found += [(row[0], rank, *row[1:]) for rank, row in enumerate(kept[:top], 1)]
    names = ["group", "rank", "term", "count", "share_inside", "share_outside", "score", "example"]
    return pd.DataFrame(found, columns=names)


def test_scores_counts_and_examples(model: KeywordsModel) -> None:
    found = model.table.to_pandas()
    pd.testing.assert_frame_equal(found, expected(3, 2, 10.83), check_dtype=False, rtol=1e-9)
    assert list(found.term[found.group == "cellar"]) == ["wine", "red"]
    assert model.texts == {"bakery": 198, "cellar": 99, "gone": 3}


def test_other_settings(labels: DataFrame) -> None:
    how = Keywords(top=100, min_documents=1, min_score=0.0, tokens=Tokens(stop_words=["the"]))
    found = how.fit(labels, "label", "shelf").table.to_pandas()
    all_of_them = expected(100, 1, 0.0)
    others = all_of_them[all_of_them.term != "the"].reset_index(drop=True)
    names = ["group", "term", "count", "score"]
    pd.testing.assert_frame_equal(found[names], others[names], check_dtype=False, rtol=1e-9)


def test_a_term_that_all_texts_of_a_group_have() -> None:
    counts = np.array([[10, 10, 0, 90], [10, 10, 3, 3], [0, 5, 1, 5]])
    found = log_likelihood(*counts.T)
    # 2 (10 ln 10 + 90 ln(90 / 90 · 100 / 90 ...)) by hand: only two of the four counts are not 0.
    assert np.isclose(found[0], 2 * (10 * np.log(10) + 90 * np.log(100 / 90)))
    assert found[1] == 0.0
    reference = chi2_contingency([[0, 5], [1, 4]], correction=False, lambda_="log-likelihood")
    assert np.isclose(found[2], reference.statistic)


def test_keywords_of_rows(spark: SparkSession, model: KeywordsModel, tmp_path: Path) -> None:
    rows = [
        (1, "cellar", "RED cake, wine; red"),
        (2, "bakery", "red wine"),
        (3, "new shelf", "wine"),
        (4, None, "wine"),
        (5, "cellar", None),
        (6, "bakery", ""),
    ]
    frame = spark.createDataFrame(rows, "id int, shelf string, label string")
    model.save(tmp_path / "model")
    loaded = KeywordsModel.load(tmp_path / "model")
    found = loaded.transform(frame).orderBy("id").toPandas()
    assert [None if k is None else list(k) for k in found.keywords] == [
        ["wine", "red"],
        [],
        [],
        None,
        None,
        [],
    ]
    assert loaded.table.equals(model.table) and loaded.describe() == model.describe()
    assert loaded.describe(1, 1)[0]["keywords"][0]["term"] == "bread"
    with pytest.raises(ConfigError, match="already has keywords"):
        loaded.transform(found_frame(frame))


def found_frame(frame: DataFrame) -> DataFrame:
    return frame.withColumnRenamed("id", "keywords")


def test_what_cannot_be_is_refused(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([("a", 1.5)], "t string, x double")
    for text, group, match in [("t", "x", "a group is text"), ("x", "t", "not text")]:
        with pytest.raises(ConfigError, match=match):
            Keywords().fit(frame, text, group)
    with pytest.raises(DataError, match="no row has a text"):
        Keywords().fit(spark.createDataFrame([], "t string, g int"), "t", "g")
    for wrong in ({"top": 0}, {"min_documents": 0}, {"min_score": -1.0}):
        with pytest.raises(ConfigError):
            Keywords(**wrong)
    (tmp_path / "keywords.json").write_text("{}")
    with pytest.raises(ModelError):
        KeywordsModel._read(tmp_path)
