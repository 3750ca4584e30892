"""Sparse columns: weights of terms and the models that take them, against scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from sparkmine import mine
from sparkmine.errors import ConfigError, DataError, RecipeError
from sparkmine.mine.scikit.memory import Need
from sparkmine.model import Model
from sparkmine.recipe import FittedRecipe, Recipe, operators
from sparkmine.recipe.selectors import select
from sparkmine.stats.sparse import TYPE, sparse_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 500


def table() -> pd.DataFrame:
    random = np.random.default_rng(9)
    kinds = random.integers(0, 3, ROWS)
    words = np.array([f"word{n}" for n in range(400)])
    texts = []
    for kind in kinds:
        own = random.integers(kind * 20, kind * 20 + 60, 4)
        texts.append(" ".join(words[np.concatenate([own, random.integers(0, 400, 6)])]))
    found = pd.DataFrame({"id": np.arange(ROWS), "text": texts, "kind": kinds})
    found["size"] = random.normal(size=ROWS)
    found["yes"] = (kinds == 2).astype(int)
    return found


def vectors(*rows: tuple[int | None, list[int] | None, list[float] | None]) -> pa.Array:
    names = [field.name for field in TYPE]
    return pa.array([dict(zip(names, row, strict=True)) for row in rows], TYPE)


def test_vectors_of_other_makers_are_checked() -> None:
    good = vectors((3, [0, 2], [1.0, 4.0]), (3, None, [1.0]), (None, [0], [1.0]), (3, [], []))
    found = sparse_rows(["v"], [3], [good])
    assert found.usable.tolist() == [True, False, False, True]
    assert found.matrix.toarray().tolist() == [[1.0, 0.0, 4.0], [0.0, 0.0, 0.0]]
    for wrong in (
        vectors((3, [3], [1.0])),
        vectors((3, [-1], [1.0])),
        vectors((3, [0, 1], [1.0]), (3, [0], [1.0, 2.0])),  # which balance
    ):
        with pytest.raises(DataError, match="vectors in v"):
            sparse_rows(["v"], [3], [wrong])


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return table()


@pytest.fixture(scope="module")
def fitted(spark: SparkSession, rows: pd.DataFrame) -> FittedRecipe:
    terms = operators.TfIdf(
        columns=select("text"), top_k=5000, ngrams=(1, 2), min_documents=1, sparse=True
    )
    df = spark.createDataFrame(rows)
    return Recipe(terms, keys=["id"], label="kind", keep=["yes"]).fit(df)


@pytest.fixture(scope="module")
def df(spark: SparkSession, rows: pd.DataFrame, fitted: FittedRecipe) -> DataFrame:
    return fitted.transform(spark.createDataFrame(rows).repartition(3)).cache()


@pytest.fixture(scope="module")
def values(rows: pd.DataFrame) -> sparse.csr_matrix:
    """scikit-learn's, with columns in the order of our vocabulary: by texts, then by the term."""
    first = TfidfVectorizer(ngram_range=(1, 2)).fit(rows.text)
    counts = (first.transform(rows.text) > 0).sum(axis=0).A1
    names = np.array(first.get_feature_names_out())
    order = np.lexsort((names, -counts))[:5000]
    vocabulary = TfidfVectorizer(ngram_range=(1, 2), vocabulary=list(names[order]))
    return vocabulary.fit(rows.text).transform(rows.text)


def matrix(found: pd.Series) -> sparse.csr_matrix:
    lengths = [len(one["indices"]) for one in found]
    entries = (
        np.concatenate([one["values"] for one in found]),
        np.concatenate([one["indices"] for one in found]),
        np.concatenate([[0], np.cumsum(lengths)]),
    )
    return sparse.csr_matrix(entries, shape=(len(found), found.iloc[0]["size"]))


def test_weights_are_those_of_scikit_learn(
    df: DataFrame,
    rows: pd.DataFrame,
    fitted: FittedRecipe,
    values: sparse.csr_matrix,
    tmp_path: Path,
) -> None:
    found = df.select("id", "text_tfidf").toArrow().sort_by("id").to_pandas().text_tfidf
    assert abs(matrix(found) - values).max() < 1e-12
    fitted.save(tmp_path / "recipe")
    some = rows.head(4).copy()
    some.loc[1, "text"], some.loc[2, "text"] = None, "nothing known"
    here = FittedRecipe.load(tmp_path / "recipe").transform_arrow(
        pa.Table.from_pandas(some, preserve_index=False)
    )
    again = here.column("text_tfidf").to_pandas()
    assert [len(one["indices"]) for one in again[1:3]] == [0, 0]
    assert abs(matrix(again)[[0, 3]] - values[[0, 3]]).max() < 1e-12
    hashed = operators.HashTfIdf(columns=select("text"), dims=64, output="{}_dense")
    both = Recipe(
        hashed,
        operators.HashTfIdf(columns=select("text"), dims=64, sparse=True),
        keys=["id"],
    ).fit(df.drop("text_tfidf"))
    twins = both.transform_arrow(pa.Table.from_pandas(some, preserve_index=False))
    dense = np.array(twins.column("text_dense").to_pylist())
    assert abs(matrix(twins.column("text_tfidf").to_pandas()) - dense).max() < 1e-12


def test_an_estimator_of_scikit_learn_gets_a_sparse_matrix(
    df: DataFrame, rows: pd.DataFrame, values: sparse.csr_matrix, tmp_path: Path
) -> None:
    how = {"C": 5.0, "tol": 1e-8, "max_iter": 1000}
    model = mine.ScikitLearn(
        estimator="sklearn.linear_model:LogisticRegression", parameters=how, task="multiclass"
    ).fit(df, ["text_tfidf", "size"], "kind")
    both = sparse.hstack([values, rows[["size"]].to_numpy()], format="csr")
    theirs = LogisticRegression(**how).fit(both, rows.kind)
    gaps = df.selectExpr("id", "text_tfidf", "if(id = 7, null, size) as size")
    model.save(tmp_path / "model")
    found = Model.load(tmp_path / "model").transform(gaps).toPandas().set_index("id").sort_index()
    assert found.probability[7] is None and len(found) == ROWS
    expected = theirs.predict_proba(both)[np.arange(ROWS) != 7]
    np.testing.assert_allclose(np.stack(found.probability.drop(7)), expected, atol=1e-5)


@pytest.mark.parametrize(("task", "label"), [("multiclass", "kind"), ("binary", "yes")])
def test_logistic_regression_by_spark_is_scikit_learns(
    df: DataFrame, rows: pd.DataFrame, values: sparse.csr_matrix, task: Any, label: str
) -> None:
    l2 = 0.002
    model = mine.LogisticRegression(task=task, l2=l2, standardize=False, tolerance=1e-10).fit(
        df, ["text_tfidf"], label
    )
    theirs = LogisticRegression(C=1 / (l2 * ROWS), tol=1e-8, max_iter=2000)
    expected = theirs.fit(values, rows[label]).predict_proba(values)
    scored = model.transform(df).toPandas().set_index("id").sort_index()
    if task == "binary":
        np.testing.assert_allclose(scored.prediction, expected[:, 1], atol=1e-4)
    else:
        np.testing.assert_allclose(np.stack(scored.probability), expected, atol=1e-4)


def test_what_sparse_columns_are_not_for(df: DataFrame) -> None:
    with pytest.raises(ConfigError, match="text_tfidf holds sparse vectors, which `logistic`"):
        mine.DecisionTree().fit(df, ["text_tfidf"], "yes")
    with pytest.raises(RecipeError, match="top_k is 5000; it is at most 4096, and with sparse"):
        operators.TfIdf(columns=select("text"), top_k=5000)
    with pytest.raises(RecipeError, match="dims is 2000000; it is from 2 to 1048576"):
        operators.HashTfIdf(columns=select("text"), dims=2_000_000, sparse=True)
    # 20,000 terms of 90,000 texts with twelve each: by entries, not by cells.
    need = Need(rows=90_000, width=0, itemsize=8, factor=3.0, entries=12 * 90_000)
    assert need.bytes < 400 << 20 and "1,080,000 entries x 12 bytes" in str(need)
