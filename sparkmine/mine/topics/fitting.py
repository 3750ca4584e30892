"""Latent Dirichlet allocation (Blei, Ng and Jordan 2003) by Spark ML's online variational Bayes.

Each iteration learns from a random part of the texts (Hoffman, Blei and Bach, "Online learning for
latent Dirichlet allocation", 2010); α is estimated too. Terms are counted over a vocabulary that is
fitted as `TfIdf` does.

Spark draws its parts by partition and row. So the texts are dealt to partitions by their hash and
sorted, in a number of partitions that follows from their number alone: equal rows, settings and
seeds give equal topics (to rounding) however the table is stored and however many cores there are.

Cost: a scan for the vocabulary; a pass over the texts into a cache; two Spark jobs an iteration; a
scan for the coherence, and a pass over what is held out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, DataError, raised_by_workers
from sparkmine.expr import col
from sparkmine.lake.inputs import as_frame, need_columns, session_of
from sparkmine.mine.topics.inference import Array, coherence, completion
from sparkmine.mine.topics.model import TopicsModel, counts_of
from sparkmine.recipe.vocabulary import Choice, TermTable
from sparkmine.stats import Request, StatEngine
from sparkmine.stats.terms import TermPairs
from sparkmine.stats.tokens import WORDS, Tokens

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

# Words of a topic whose coherence is measured.
FIRST = 10
_PARTITION = 20_000
_SHARES = 10_000


@dataclass(frozen=True, kw_only=True)
class Topics:
    """`k` topics of texts.

    Attributes:
        k: How many topics.
        tokens: How texts become terms.
        top_k, min_documents, max_document_share: Which terms make the vocabulary: see `TfIdf`.
        iterations: How often topics learn from a random part of the texts.
        batch_share: How large that part is.
        held_out: The share of different texts that topics do not learn from; they give the
            perplexity. A text and its copies are held out together.
        seed: Equal seeds give equal topics on the same rows.
    """

    k: int = 10
    tokens: Tokens = WORDS
    top_k: int = 5_000
    min_documents: int = 5
    max_document_share: float = 0.5
    iterations: int = 50
    batch_share: float = 0.1
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("k", 2), ("iterations", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if not 0 < self.batch_share <= 1:
            raise ConfigError(f"batch_share is {self.batch_share}; it is above 0, at most 1")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; it is from 0 to below 1")
        self._choice()

    def _choice(self) -> Choice:
        return Choice(
            top_k=self.top_k,
            min_documents=self.min_documents,
            max_document_share=self.max_document_share,
        )

    def fit(
        self, data: DataFrame | Snapshot, text: str, spark: SparkSession | None = None
    ) -> TopicsModel:
        """Find the topics of a column of texts.

        Raises:
            ConfigError: no such column of texts.
            DataError: no text has a term of the vocabulary, or there are fewer than two.
        """
        return fit_all([self], data, text, spark)[0]


def fit_all(
    settings: Sequence[Topics],
    data: DataFrame | Snapshot,
    text: str,
    spark: SparkSession | None = None,
) -> list[TopicsModel]:
    """Fit settings that differ in k alone; they share all but the iterations."""
    from pyspark.sql import types as t

    need_columns(data, [text])
    if not isinstance(data.schema[text].dataType, t.StringType):
        raise ConfigError(f"column {text} is {data.schema[text].dataType.simpleString()}, not text")
    like = settings[0]
    engine = StatEngine(data, session_of(data, spark))
    table = _vocabulary(engine, like, text)
    with _prepared(as_frame(data, spark), text, like, table) as (training, held):
        rows = training.count()
        if not rows:
            raise DataError(f"no text of {text} is left to learn from")
        found = [_in_order(*_spark_topics(training, one)) for one in settings]
        perplexities = _perplexities(held, like, table, found)
    fits = _coherences(engine, text, like, table, found)
    terms = tuple(table.terms.to_pylist())
    return [
        TopicsModel(
            text=text,
            tokens=one.tokens,
            terms=terms,
            rows=rows,
            coherence=tuple(fit),
            perplexity=perplexity,
            seed=one.seed,
            topic_words=topic_words,
            alpha=alpha,
        )
        for one, (topic_words, alpha), fit, perplexity in zip(
            settings, found, fits, perplexities, strict=True
        )
    ]


def _vocabulary(engine: StatEngine, like: Topics, text: str) -> TermTable:
    asking, answers = like._choice().asking([text], like.tokens), None
    while True:
        try:
            stats = asking.send(answers)  # type: ignore[arg-type]
        except StopIteration as stop:
            (table,) = stop.value
            break
        answers = engine.run([Request(stat, (col(text),)) for stat in stats])
    if len(table.terms) < 2:
        raise DataError(
            f"{len(table.terms)} terms of the {table.texts} texts in {text} are in at least "
            f"{like.min_documents} and in at most a share of {like.max_document_share} of them; "
            "topics need two: change min_documents or max_document_share"
        )
    return table


@contextmanager
def _prepared(
    df: DataFrame, text: str, like: Topics, table: TermTable
) -> Iterator[tuple[DataFrame, DataFrame]]:
    """What is learned from, as cached vectors of counts in a fixed order, and the other texts."""
    from pyspark.ml.feature import CountVectorizerModel
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import arrow_udf

    texts = df.select(F.col(f"`{text}`").alias("text")).where("text is not null")
    place = F.pmod(F.xxhash64(F.lit(like.seed), "text"), F.lit(_SHARES))
    out = place < F.lit(round(like.held_out * _SHARES))
    parts = max(1, min(table.texts // _PARTITION, 1_000))
    lists: Any = arrow_udf(_lister(like.tokens, table.terms), "array<string>")  # type: ignore[call-overload]
    kept = (
        texts.where(~out)
        .repartition(parts, "text")
        .sortWithinPartitions("text")
        .select(lists("text").alias("terms"))
        .where(F.size("terms") > 0)
    )
    counter = CountVectorizerModel.from_vocabulary(
        table.terms.to_pylist(), inputCol="terms", outputCol="features"
    )
    training = counter.transform(kept).select("features").persist()
    try:
        with raised_by_workers():
            yield training, texts.where(out)
    finally:
        training.unpersist()


def _spark_topics(training: DataFrame, how: Topics) -> tuple[Array, Array]:
    """Dirichlet parameters of topics [k, V] and α [k], by Spark ML."""
    from pyspark.ml.clustering import LDA

    estimator = LDA(
        k=how.k,
        maxIter=how.iterations,
        seed=how.seed,
        optimizer="online",
        subsamplingRate=how.batch_share,
        featuresCol="features",
    )
    fitted = estimator.fit(training)
    return fitted.topicsMatrix().toArray().T, fitted.estimatedDocConcentration().toArray()


def _in_order(topic_words: Array, alpha: Array) -> tuple[Array, Array]:
    order = np.argsort(-topic_words.sum(axis=1), kind="stable")
    return np.ascontiguousarray(topic_words[order]), alpha[order]


def _perplexities(
    held: DataFrame, like: Topics, table: TermTable, found: Sequence[tuple[Array, Array]]
) -> list[float | None]:
    """exp(-mean log-likelihood of a term) of the texts that were held out, in one pass."""
    if not like.held_out:
        return [None] * len(found)
    tokens, terms = like.tokens, table.terms

    def measured(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = batch.column(0)
            listed = tokens.terms(texts)
            halves = [counts_of(listed, terms, len(texts), half) for half in (0, 1)]
            each = [completion(halves[0], halves[1], words, alpha) for words, alpha in found]
            yield pa.RecordBatch.from_pydict(
                {
                    "model": pa.array(range(len(each)), pa.int32()),
                    "likelihood": pa.array([one[0] for one in each]),
                    "terms": pa.array([one[1] for one in each], pa.int64()),
                }
            )

    rows = held.mapInArrow(measured, "model int, likelihood double, terms bigint")
    summed = rows.toArrow().group_by("model").aggregate([("likelihood", "sum"), ("terms", "sum")])
    sums = {row["model"]: row for row in summed.to_pylist()}
    return [
        float(np.exp(-row["likelihood_sum"] / row["terms_sum"]))
        if (row := sums.get(number)) and row["terms_sum"]
        else None
        for number in range(len(found))
    ]


def _coherences(
    engine: StatEngine,
    text: str,
    like: Topics,
    table: TermTable,
    found: Sequence[tuple[Array, Array]],
) -> list[list[float]]:
    """Of each topic of each model; one scan."""
    firsts = [[np.argsort(-row, kind="stable")[:FIRST] for row in words] for words, _ in found]
    used = np.unique(np.concatenate([first for rows in firsts for first in rows]))
    names = tuple(table.terms.take(pa.array(used)).to_pylist())
    (pairs,) = engine.run([Request(TermPairs(text, like.tokens, names), (col(text),))])
    places = [[np.searchsorted(used, first) for first in rows] for rows in firsts]
    return [[coherence(pairs[np.ix_(p, p)], table.texts) for p in rows] for rows in places]


def _lister(
    tokens: Tokens, vocabulary: pa.Array
) -> Callable[[Iterator[pa.Array]], Iterator[pa.Array]]:
    """The terms of texts as lists; its hints tell Spark what it takes."""

    def listed(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        for texts in batches:
            lists = tokens.lists(texts)
            known = pc.is_in(lists.flatten(), value_set=vocabulary)
            sizes = np.concatenate(([0], np.cumsum(known.to_numpy(zero_copy_only=False))))
            offsets = sizes[lists.offsets.to_numpy()].astype(np.int32)
            yield pa.ListArray.from_arrays(pa.array(offsets), lists.flatten().filter(known))

    return listed
