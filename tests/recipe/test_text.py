"""Weighted words against scikit-learn, hashed as by Spark; words in order by plain Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer

from sparkmine.errors import ModelError, RecipeError
from sparkmine.expr.murmur import murmur3
from sparkmine.recipe import Recipe, operators
from sparkmine.recipe.block import BlockFunction
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.selectors import select
from sparkmine.recipe.term_block import SequenceBlock, TermBlock

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(1)
VOCABULARY = [
    *("the", "a", "of", "Red", "green-blue", "naïve", "Größe", "漢字", "x_1", "7", "don't"),
    *("😀", "ÉCOLE", "?!"),
]
TEXTS = [" ".join(RNG.choice(VOCABULARY, size)) for size in RNG.integers(0, 15, 200)]


def words_of(text: str, lower: bool = True) -> list[str]:
    """For the texts here: Chinese signs alone, apostrophes inside."""
    pattern = r"[\u4e00-\u9fff]|(?:(?![\u4e00-\u9fff])\w)+(?:'\w+)*"
    return re.findall(pattern, text.casefold() if lower else text)


def expected(texts: list[str], dims: int, low: int, high: int, lower: bool) -> np.ndarray:
    """By plain Python and scikit-learn."""
    counts = np.zeros((len(texts), dims))
    for row, text in enumerate(texts):
        words = words_of(text, lower)
        for size in range(low, high + 1):
            for start in range(len(words) - size + 1):
                term = " ".join(words[start : start + size])
                counts[row, int(murmur3(pa.array([term]))[0]) % dims] += 1
    return TfidfTransformer().fit_transform(counts).toarray()


@pytest.mark.parametrize(
    ("dims", "ngrams", "lower"), [(64, (1, 2), True), (1000, [1, 1], False), (7, (2, 3), True)]
)
def test_weights_equal_scikit_learn(fit: Any, dims: int, ngrams: Any, lower: bool) -> None:
    table = pa.table({"t": TEXTS})
    fitted = fit(operators.HashTfIdf(dims=dims, ngrams=ngrams, lower=lower), table)
    found = np.array(fitted.transform(table).column("t_tfidf").to_pylist())
    assert np.allclose(found, expected(TEXTS, dims, *ngrams, lower), atol=1e-12)
    assert fitted.outcome.infos["t_tfidf"] == ColumnInfo("t_tfidf", "vector", dims, ("t",))


@pytest.mark.parametrize("sublinear", [False, True])
@pytest.mark.parametrize(
    ("ngrams", "stopped", "few", "share"),
    [((1, 1), [], 1, 1.0), ((1, 2), ["of", "a"], 5, 0.4), ((2, 3), [], 3, 0.05)],
)
def test_a_vocabulary_equals_scikit_learn(
    fit: Any, ngrams: Any, stopped: list[str], few: int, share: float, sublinear: bool
) -> None:
    reference = TfidfVectorizer(
        analyzer="word",
        tokenizer=words_of,
        token_pattern=None,
        lowercase=False,
        stop_words=stopped or None,
        ngram_range=ngrams,
        min_df=few,
        max_df=share,
        sublinear_tf=sublinear,
    )
    weights = reference.fit_transform(TEXTS).toarray()
    table = pa.table({"t": TEXTS})
    operator = operators.TfIdf(
        ngrams=ngrams,
        stop_words=stopped,
        min_documents=few,
        max_document_share=share,
        sublinear=sublinear,
        top_k=4096,
    )
    fitted = fit(operator, table)
    (block,) = fitted.outcome.blocks.values()
    terms = block.vocabulary.to_pylist()
    assert sorted(terms) == sorted(reference.vocabulary_)
    found = np.array(fitted.transform(table).column("t_tfidf").to_pylist())
    order = [reference.vocabulary_[term] for term in terms]
    assert np.allclose(found, weights[:, order], rtol=0, atol=1e-12)


def test_the_vocabulary_is_the_most_frequent_terms_that_are_not_too_frequent(fit: Any) -> None:
    # 700 words in all texts, more than are asked for beside, then a, b, c and d.
    common = " ".join(f"w{number}" for number in range(700))
    texts = [common + " " + rest for rest in ("a b c", "a b", "a d", "", "b")]
    fitted = fit(
        operators.TfIdf(top_k=2, min_documents=1, max_document_share=0.9),
        pa.table({"t": texts, "u": texts}),
    )
    assert fitted.rounds == 3  # 258, 516 and 1032 terms
    details = fitted.outcome.details["u"]
    assert details == {"texts": 5, "terms": 2, "most frequent": [["a", 3], ["b", 3]]}
    info = ColumnInfo("t_tfidf", "vector", 2, ("t",))
    assert fitted.outcome.infos["t_tfidf"] == info


def test_words_in_order(fit: Any, tmp_path: Path) -> None:
    table = pa.table({"t": ["b a b", "a c", None, "", "?!", "b z a a c", "b"]})
    fitted = fit(operators.TokenSequence(length=4), table)
    # b and a are in three texts, c in two, z in one: too rare.
    expected = [[3, 2, 3], [2, 4], [0], [0], [0], [3, 1, 2, 2], [3]]
    assert fitted.transform(table).column("t_words").to_pylist() == expected
    assert fitted.outcome.infos["t_words"] == ColumnInfo("t_words", "index", 5, ("t",))
    (block,) = fitted.outcome.blocks.values()
    new = pa.table({"t": ["c new"]})
    block.write(tmp_path / "block.arrow")
    assert SequenceBlock.read(tmp_path / "block.arrow").apply(new).to_pylist() == [[4, 1]]
    assert block.apply(table.slice(1, 2)).to_pylist() == expected[1:3]
    assert len(block.apply(table.slice(0, 0))) == 0
    with pytest.raises(ModelError, match="no terms"):
        SequenceBlock.read(tmp_path / "none")


def test_texts_without_words(fit: Any) -> None:
    table = pa.table({"t": ["red red", None, "", " ?! ", "green"]})
    fitted = fit(operators.HashTfIdf(dims=16, ngrams=(1, 1)), table)
    (block,) = fitted.outcome.blocks.values()
    # Four texts, of which "red" is in one: ln(5 / 2) + 1; a null is no text.
    assert np.isclose(block.weights.min(), np.log(5 / 2) + 1)
    rows = np.array(fitted.transform(table).column("t_tfidf").to_pylist())
    assert np.array_equal((rows > 0).sum(axis=1), [1, 0, 0, 0, 1])
    none = pa.table({"t": pa.array([None, None], pa.string())})
    empty = fit(operators.HashTfIdf(dims=4), none)
    assert empty.transform(none).column("t_tfidf").to_pylist() == [[0.0] * 4] * 2
    assert len(block.apply(table.slice(0, 0))) == 0
    assert block.apply(table.slice(3)).to_pylist() == rows[3:].tolist()


def test_many_rows_are_done_in_parts(fit: Any) -> None:
    table = pa.table({"t": TEXTS * 50})
    fitted = fit(operators.HashTfIdf(dims=32), pa.table({"t": TEXTS}))
    found = np.array(fitted.transform(table).column("t_tfidf").to_pylist())
    assert np.array_equal(found[:200], found[-200:]) and len(found) == 10_000


def test_spark_and_arrow_agree(spark: SparkSession) -> None:
    table = pa.table({"id": range(201), "t": [*TEXTS, None]})
    frame = spark.createDataFrame(table)
    recipe = Recipe(operators.HashTfIdf(dims=16), operators.TfIdf(output="{}_terms"), keys=["id"])
    fitted = recipe.fit(frame.repartition(3))
    native = fitted.transform(frame).orderBy("id").toArrow()
    ours = fitted.transform_arrow(table)
    assert native.schema.names == ours.schema.names == fitted.outputs
    for name in ("t_tfidf", "t_terms"):
        assert native.column(name).to_pylist() == ours.column(name).to_pylist()


def test_a_saved_block_is_the_same(fit: Any, tmp_path: Path) -> None:
    table = pa.table({"t": TEXTS})
    for operator in (operators.HashTfIdf(dims=16, lower=False), operators.TfIdf(sublinear=True)):
        (block,) = fit(operator, table).outcome.blocks.values()
        block.write(tmp_path / "block.arrow")
        loaded = TermBlock.read(tmp_path / "block.arrow")
        assert loaded.inputs == ("t",) and loaded.tokens == block.tokens
        assert loaded.apply(table).equals(block.apply(table))
    for content in (b"", b"ARROW1"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ModelError, match="no terms"):
            TermBlock.read(tmp_path / "bad")


def test_wrong_data_and_parameters_are_refused(fit: Any) -> None:
    with pytest.raises(RecipeError, match="'x' is of kind number"):
        fit(operators.HashTfIdf(columns=select("x")), pa.table({"x": [1.0]}))
    for make, match in [
        (lambda: operators.HashTfIdf(dims=5000), "2 to 4096"),
        (lambda: operators.HashTfIdf(ngrams=(2, 1)), "ngrams"),
        (lambda: operators.HashTfIdf(output=None), "output="),
        (lambda: operators.HashTfIdf(stop_words="latin"), "stop words of 'latin'"),
        (lambda: operators.TfIdf(top_k=5000), "at most 4096"),
        (lambda: operators.TfIdf(min_documents=0), "min_documents"),
        (lambda: operators.TfIdf(max_document_share=0), "max_document_share"),
        (lambda: operators.TokenSequence(length=0), "length"),
        (lambda: operators.TokenSequence(ngrams=(1, 2)), "single words"),
    ]:
        with pytest.raises(RecipeError, match=match):
            make()


def test_kinds_of_block_functions_are_told_apart() -> None:
    assert BlockFunction.of_kind("terms") is TermBlock
    assert BlockFunction.of_kind("nothing") is None
    with pytest.raises(TypeError, match=r"Mine\.kind is taken by TermBlock"):

        class Mine(TermBlock):
            kind: ClassVar[str] = "terms"
