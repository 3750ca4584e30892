"""Words that are characteristic of groups of texts, by the log-likelihood ratio G².

For a term and a group there is a table of four counts: texts of the group and other texts, with the
term and without it. G² = 2 Σ observed · ln(observed / expected) asks how unlikely this is if the
term does not care for the group (Dunning, "Accurate methods for the statistics of surprise and
coincidence", 1993). It is reliable for rare terms too, where chi-squared is not. Texts are counted,
not occurrences, since those of one text are not independent. A keyword is more frequent inside the
group than outside; at G² = 10.83 chance alone has one in a thousand chances.

Cost: one scan for all counts, whose shuffle sums them by group and term, and one pass over the
texts for the examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, DataError, ModelError, raised_by_workers
from sparkmine.expr import col, lit, when
from sparkmine.lake.inputs import as_frame, need_columns, session_of
from sparkmine.model import Model
from sparkmine.stats import Counts, Request, SelectedCounts, StatEngine
from sparkmine.stats.terms import BETWEEN, GroupDocuments, TermDocuments
from sparkmine.stats.tokens import WORDS, Tokens

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

SCHEMA = pa.schema(
    [
        pa.field("group", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("term", pa.string()),
        pa.field("count", pa.int64()),
        pa.field("share_inside", pa.float64()),
        pa.field("share_outside", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("example", pa.string()),
    ]
)
ADDED = "keywords"
_STATE, _TABLE = "keywords.json", "keywords.arrow"


@dataclass(frozen=True, kw_only=True)
class Keywords:
    """The most characteristic terms of each group of texts.

    Attributes:
        tokens: How texts become terms.
        top: At most so many terms a group, the highest G² first, ties by the term.
        min_documents: Texts of the group that a term must be in.
        min_score: The least G².
        examples: Whether to look for the shortest text of the group with each keyword.
    """

    tokens: Tokens = WORDS
    top: int = 20
    min_documents: int = 5
    min_score: float = 10.83
    examples: bool = True

    def __post_init__(self) -> None:
        for name in ("top", "min_documents"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not self.min_score >= 0:
            raise ConfigError(f"min_score is {self.min_score}; it must be at least 0")

    def fit(
        self,
        data: DataFrame | Snapshot,
        text: str,
        group: str,
        spark: SparkSession | None = None,
    ) -> KeywordsModel:
        """Find the keywords of the rows with equal values in the column `group`.

        Rows without text or group do not count; groups are compared as strings.

        Raises:
            ConfigError: no such columns, or not of these types.
            DataError: no row has both.
        """
        need_columns(data, [text, group])
        _check_types(data, text, group)
        engine = StatEngine(data, session_of(data, spark))
        texts = when(col(group).is_null(), lit(None)).otherwise(col(text))
        groups = when(col(text).is_null(), lit(None)).otherwise(col(group))
        sizes, terms, pairs = engine.run(
            [
                Request(Counts(group), (groups,)),
                Request(TermDocuments(text, None, self.min_documents, self.tokens), (texts,)),
                Request(
                    GroupDocuments(text, None, self.min_documents, group, self.tokens),
                    (texts, groups),
                ),
            ]
        )
        if not sizes.rows:
            raise DataError(f"no row has a text in {text} and a group in {group}")
        for counts in (sizes, terms, pairs):
            counts.top()  # says what to do if the driver does not hold all
        model = KeywordsModel(
            text=text,
            group=group,
            tokens=self.tokens,
            texts={str(key): rows for key, rows in sizes.top()},
            table=self._chosen(sizes, terms, pairs),
        )
        return model.with_examples(as_frame(data, spark)) if self.examples else model

    def _chosen(
        self, sizes: SelectedCounts, terms: SelectedCounts, pairs: SelectedCounts
    ) -> pa.Table:
        parted = pc.split_pattern(pairs.keys.cast(pa.string()), BETWEEN, max_splits=1, reverse=True)
        group, term = pc.list_element(parted, 0), pc.list_element(parted, 1)
        inside = pairs.counts
        members = sizes.counts[_places(group, sizes.keys)]
        outside = terms.counts[_places(term, terms.keys)] - inside
        others = sizes.rows - members
        scores = log_likelihood(inside, members, outside, others)
        share_in, share_out = inside / members, outside / np.maximum(others, 1)
        # A keyword of the only group would be compared with nothing.
        good = (share_in > share_out) & (others > 0) & (scores >= self.min_score)
        table = pa.table(
            {
                "group": group,
                "term": term,
                "count": inside,
                "share_inside": share_in,
                "share_outside": share_out,
                "score": scores,
            }
        ).filter(pa.array(good))
        table = table.sort_by(
            [("group", "ascending"), ("score", "descending"), ("term", "ascending")]
        )
        coded = table.column("group").combine_chunks().dictionary_encode().indices.to_numpy()
        rank = np.arange(len(coded)) - np.searchsorted(coded, coded) + 1
        table = table.append_column("rank", pa.array(rank, pa.int32()))
        table = table.append_column("example", pa.nulls(len(rank), pa.string()))
        return table.select(SCHEMA.names).cast(SCHEMA).filter(pc.field("rank") <= self.top)


def log_likelihood(
    inside: np.ndarray, members: np.ndarray, outside: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """G² of tables of four counts, element by element.

    Args:
        inside: Texts of the group with the term, of its `members`.
        outside: Other texts with the term, of all `others`.
    """
    total = members + others
    found = np.zeros(len(inside))
    for seen, size in ((inside, members), (outside, others)):
        for observed, sums in ((seen, inside + outside), (size - seen, total - inside - outside)):
            expected = size * (sums / total)
            there = observed > 0
            found[there] += 2 * observed[there] * np.log(observed[there] / expected[there])
    return np.maximum(found, 0.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class KeywordsModel(Model):
    """Keywords by group.

    Attributes:
        text, group: The columns.
        tokens: How texts become terms.
        texts: How many each group has, the largest group first.
        table: See `SCHEMA`: rows by group and rank. `count` is the number of the group's texts with
            the term, the shares are of all texts in the group and of all others.
    """

    text: str
    group: str
    tokens: Tokens
    texts: Mapping[str, int]
    table: pa.Table

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `keywords`: those of the row's group in its text, the highest score first.

        Null where the text or the group is. Only these two go to Python.

        Raises:
            ConfigError: a column is missing, or a column `keywords` is there.
        """
        from pyspark.sql import functions as F

        need_columns(df, [self.text, self.group])
        if ADDED in df.columns:
            raise ConfigError(f"the table already has {ADDED}; drop or rename it first")
        group = F.col(f"`{self.group}`").cast("string")
        return df.withColumn(ADDED, self._spark()(F.col(f"`{self.text}`"), group))

    def found(self, texts: pa.Array, groups: pa.Array) -> pa.ListArray:
        """The keywords of the rows' groups (strings) in their texts, as `transform` gives them."""
        present = pc.and_(pc.is_valid(texts), pc.is_valid(groups))
        terms = self.tokens.terms(texts)
        rows, codes = terms.once()
        keys = pc.binary_join_element_wise(
            groups.take(pa.array(rows)), terms.distinct.take(pa.array(codes)), BETWEEN
        )
        places = pc.fill_null(pc.index_in(keys, value_set=self._keys), -1).to_numpy()
        rows, places = rows[places >= 0], places[places >= 0]
        order = np.lexsort((places, rows))  # within a group the table is in order of the scores
        sizes = np.bincount(rows, minlength=len(texts))
        offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        words = self.table.column("term").combine_chunks().take(pa.array(places[order]))
        return pa.ListArray.from_arrays(pa.array(offsets), words, mask=pc.invert(present))

    def with_examples(self, df: DataFrame) -> Self:
        """The model with the shortest text of the group for each keyword, ties by the text."""
        from pyspark.sql import functions as F

        rows = df.select(
            F.col(f"`{self.group}`").cast("string").alias("group"),
            F.col(f"`{self.text}`").alias("text"),
        ).distinct()
        words = self._spark()("text", "group")
        terms = rows.select("group", "text", F.explode(words).alias("term"))
        shortest = F.min(F.struct(F.length("text"), "text"))["text"].alias("example")
        with raised_by_workers():
            found = terms.groupBy("group", "term").agg(shortest).toArrow()
        places = pc.index_in(self._keys, value_set=_keys(found))
        examples = found.column("example").combine_chunks().take(places)
        place = self.table.schema.get_field_index("example")
        return replace(self, table=self.table.set_column(place, SCHEMA.field("example"), examples))

    @cached_property
    def _keys(self) -> pa.Array:
        return _keys(self.table)

    def _spark(self) -> Any:
        """`found` as a function of Spark, of two columns of text."""
        from pyspark.sql.pandas.functions import arrow_udf

        # Not to be computed twice for a filter by what it gives.
        return arrow_udf(_finder(self), "array<string>").asNondeterministic()  # type: ignore[call-overload]

    def describe(self, groups: int | None = None, top: int | None = None) -> list[dict[str, Any]]:
        """The largest groups, each with its texts and its first keywords, as JSON values."""
        rows = self.table.to_pylist()
        by_group: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_group.setdefault(row.pop("group"), []).append(row)
        return [
            {"group": name, "texts": size, "keywords": by_group.get(name, [])[:top]}
            for name, size in list(self.texts.items())[:groups]
        ]

    def _write(self, folder: Path) -> None:
        state = {
            "text": self.text,
            "group": self.group,
            "tokens": asdict(self.tokens),
            "texts": list(self.texts.items()),
        }
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        with pa.OSFile(str(folder / _TABLE), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(self.table)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            state = json.loads((folder / _STATE).read_text())
            with pa.OSFile(str(folder / _TABLE), "rb") as source:
                table = pa.ipc.open_file(source).read_all()
            tokens, texts = Tokens(**state.pop("tokens")), dict(state.pop("texts"))
            return cls(tokens=tokens, texts=texts, table=table, **state)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise ModelError(f"{folder} does not hold keywords: {error}") from None


def _finder(
    model: KeywordsModel,
) -> Callable[[Iterator[tuple[pa.Array, pa.Array]]], Iterator[pa.Array]]:
    """The function of the columns' arrays; its hints tell Spark what it takes."""

    def find(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        for texts, groups in batches:
            yield model.found(texts, groups)

    return find


def _check_types(data: DataFrame | Snapshot, text: str, group: str) -> None:
    from pyspark.sql import types as t

    kinds = {name: data.schema[name].dataType for name in (text, group)}
    if not isinstance(kinds[text], t.StringType):
        raise ConfigError(f"column {text} is {kinds[text].simpleString()}, not text")
    if not isinstance(kinds[group], t.StringType | t.IntegralType | t.BooleanType):
        raise ConfigError(
            f"column {group} is {kinds[group].simpleString()}; a group is text, a whole number or "
            "a boolean"
        )


def _keys(table: pa.Table) -> pa.Array:
    group, term = (table.column(name).combine_chunks() for name in ("group", "term"))
    return pc.binary_join_element_wise(group, term, BETWEEN)


def _places(wanted: pa.Array, keys: pa.Array) -> np.ndarray:
    """Where each wanted key stands among `keys`, which hold all of them."""
    found = pc.index_in(wanted, value_set=keys.cast(pa.string()))
    return found.to_numpy(zero_copy_only=False).astype(np.int64)
