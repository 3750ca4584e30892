"""Weighted words against scikit-learn, with the hash of Spark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import TfidfTransformer

from sparkmine.errors import ModelError, RecipeError
from sparkmine.expr.murmur import murmur3
from sparkmine.recipe import Recipe, operators
from sparkmine.recipe.block import BlockFunction
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.selectors import select
from sparkmine.recipe.term_block import TermBlock

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(1)
VOCABULARY = [
    *("the", "a", "of", "Red", "green-blue", "naïve", "Größe", "漢字", "x_1", "7", "don't"),
    *("😀", "ÉCOLE", "?!"),
]
TEXTS = [" ".join(RNG.choice(VOCABULARY, size)) for size in RNG.integers(0, 15, 200)]


def expected(texts: list[str], dims: int, low: int, high: int, lower: bool) -> np.ndarray:
    """By plain Python and scikit-learn."""
    counts = np.zeros((len(texts), dims))
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower() if lower else text)
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
    fitted = Recipe(operators.HashTfIdf(dims=16), keys=["id"]).fit(frame.repartition(3))
    native = fitted.transform(frame).orderBy("id").toArrow()
    ours = fitted.transform_arrow(table)
    assert native.schema.names == ours.schema.names == fitted.outputs
    assert native.column("t_tfidf").to_pylist() == ours.column("t_tfidf").to_pylist()


def test_a_saved_block_is_the_same(fit: Any, tmp_path: Path) -> None:
    table = pa.table({"t": TEXTS})
    (block,) = fit(operators.HashTfIdf(dims=16, lower=False), table).outcome.blocks.values()
    block.write(tmp_path / "block.arrow")
    loaded = TermBlock.read(tmp_path / "block.arrow")
    assert loaded.inputs == ("t",) and loaded.words == block.words
    assert loaded.apply(table).equals(block.apply(table))
    for content in (b"", b"ARROW1"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ModelError, match="word weights"):
            TermBlock.read(tmp_path / "bad")


def test_wrong_data_and_parameters_are_refused(fit: Any) -> None:
    with pytest.raises(RecipeError, match="'x' is of kind number"):
        fit(operators.HashTfIdf(columns=select("x")), pa.table({"x": [1.0]}))
    for make, match in [
        (lambda: operators.HashTfIdf(dims=5000), "2 to 4096"),
        (lambda: operators.HashTfIdf(ngrams=(2, 1)), "ngrams"),
        (lambda: operators.HashTfIdf(output=None), "output="),
    ]:
        with pytest.raises(RecipeError, match=match):
            make()


def test_kinds_of_block_functions_are_told_apart() -> None:
    assert BlockFunction.of_kind("terms") is TermBlock
    assert BlockFunction.of_kind("nothing") is None
    with pytest.raises(TypeError, match=r"Mine\.kind is taken by TermBlock"):

        class Mine(TermBlock):
            kind: ClassVar[str] = "terms"
