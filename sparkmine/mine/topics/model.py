"""Fitted topics: their words, and the topics of new texts."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ModelError, raised_by_workers
from sparkmine.mine.topics.inference import Array, expectations, infer
from sparkmine.python_model import PythonModel, Scorer
from sparkmine.stats.terms import places_of
from sparkmine.stats.tokens import Terms, Tokens

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ADDED = {"topic": "int", "topics": "array<double>"}
_STATE, _ARRAYS = "topics.json", "topics.npz"


@dataclass(frozen=True, eq=False, kw_only=True)
class TopicsModel(PythonModel):
    """Topics, the one with the largest share of the words first.

    Attributes:
        text: The column of texts.
        tokens: How texts become terms.
        terms: The vocabulary [V].
        rows: Texts of the fit with a term of it.
        coherence: Of each topic: mean NPMI of its ten first words, -1 to 1.
        perplexity: Of texts that were held out, see `inference.completion`; None without any.
        seed: That of the fit.
        topic_words: Dirichlet parameters of the topics' words [k, V].
        alpha: Dirichlet parameters of the texts' topics [k].
    """

    text: str
    tokens: Tokens
    terms: tuple[str, ...]
    rows: int
    coherence: tuple[float, ...]
    perplexity: float | None
    seed: int
    topic_words: Array
    alpha: Array

    @property
    def k(self) -> int:
        """How many topics there are."""
        return len(self.alpha)

    @property
    def shares(self) -> Array:
        """The share of each topic in the words of the fit [k]."""
        return np.asarray(self.topic_words.sum(axis=1) / self.topic_words.sum())

    @property
    def probabilities(self) -> Array:
        """How likely a word is in a topic [k, V]."""
        return np.asarray(self.topic_words / self.topic_words.sum(axis=1, keepdims=True))

    def words(self, most: int = 10) -> list[list[tuple[str, float]]]:
        """The most likely words of each topic and their probabilities, ties by the vocabulary."""
        found = []
        for row in self.probabilities:
            first = np.argsort(-row, kind="stable")[:most]
            found.append([(self.terms[place], float(row[place])) for place in first])
        return found

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `topic` (int, the likeliest) and `topics` (array<double> [k], which sums to 1).

        Both are null for texts without a known word, and for null. Only the text goes to Python.

        Raises:
            ConfigError: the text is missing, or a column `topic` or `topics` is there.
        """
        return super().transform(df)

    def scorer(self, spark: SparkSession) -> Scorer:
        return Scorer(
            features=[self.text],
            columns=ADDED,
            opened=lambda: contextlib.nullcontext(self._scored),
        )

    def assign(self, texts: pa.Array) -> pa.StructArray:
        """`topic` and `topics` of texts, without Spark."""
        counts = counts_of(self.tokens.terms(texts), self._vocabulary, len(texts))
        known = np.diff(counts.indptr) > 0
        gamma = infer(counts[known], self._expected, self.alpha)
        theta = gamma / gamma.sum(axis=1, keepdims=True)
        topic = np.zeros(len(texts), np.int32)
        topic[known] = theta.argmax(axis=1)
        offsets = np.concatenate(([0], np.cumsum(np.where(known, self.k, 0)))).astype(np.int32)
        unknown = pa.array(~known)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(theta.ravel()), mask=unknown)
        return pa.StructArray.from_arrays([pa.array(topic, mask=~known), lists], names=list(ADDED))

    def _scored(self, arrays: list[pa.Array]) -> pa.StructArray:
        return self.assign(pc.fill_null(arrays[0], ""))

    def examples(self, df: DataFrame, number: int = 3) -> list[list[str]]:
        """For each topic the texts with the largest share of it, ties by the text; one shuffle."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        text = F.col(f"`{self.text}`")
        scored = self.transform(df.select(text).distinct()).where("topic is not null")
        best = Window.partitionBy("topic").orderBy(F.array_max("topics").desc(), text)
        ranked = scored.select("topic", text.alias("text"), F.row_number().over(best).alias("rank"))
        with raised_by_workers():
            rows = ranked.where(F.col("rank") <= number).orderBy("topic", "rank").collect()
        return [[row["text"] for row in rows if row["topic"] == topic] for topic in range(self.k)]

    def describe(self, most: int = 10) -> dict[str, Any]:
        """Figures and words as JSON values."""
        topics = zip(self.shares.tolist(), self.coherence, self.words(most), strict=True)
        return {
            "k": self.k,
            "rows": self.rows,
            "terms": len(self.terms),
            "coherence": float(np.mean(self.coherence)),
            "perplexity": self.perplexity,
            "topics": [
                {"share": share, "coherence": fit, "words": [list(word) for word in words]}
                for share, fit, words in topics
            ],
        }

    @cached_property
    def _expected(self) -> Array:
        return expectations(self.topic_words)

    @cached_property
    def _vocabulary(self) -> pa.Array:
        return pa.array(self.terms, pa.string())

    def _write(self, folder: Path) -> None:
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: state.pop(name) for name in ("topic_words", "alpha")}
        state["tokens"] = asdict(self.tokens)
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        np.savez(folder / _ARRAYS, **arrays)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            state = json.loads((folder / _STATE).read_text())
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            tokens = Tokens(**state.pop("tokens"))
            for name in ("terms", "coherence"):
                state[name] = tuple(state[name])
            return cls(tokens=tokens, **state, **found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} does not hold topics: {error}") from None


def counts_of(found: Terms, vocabulary: pa.Array, texts: int, half: int | None = None) -> Any:
    """How often each term of a vocabulary is in each text: SciPy's CSR [texts, V].

    Args:
        half: 0 or 1 for every other term of a text alone, in the order of the text.
    """
    from scipy.sparse import csr_array

    places = places_of(found, vocabulary)[found.codes]
    rows, places = found.rows[places >= 0], places[places >= 0]
    if half is not None:
        order = np.argsort(rows, kind="stable")
        rows, places = rows[order], places[order]
        within = np.arange(len(rows)) - np.searchsorted(rows, rows)
        rows, places = rows[within % 2 == half], places[within % 2 == half]
    counts = csr_array((np.ones(len(rows)), (rows, places)), shape=(texts, len(vocabulary)))
    counts.sum_duplicates()
    return counts
