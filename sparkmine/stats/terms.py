"""In how many texts terms occur: each term, each hash bucket of terms, terms by group, pairs.

What a term is says `stats.tokens`. A term's bucket is its Murmur3 hash (that of Spark's `hash`)
modulo the number of buckets. Null is no text. Counts of terms are keyed: they are summed by one
shuffle, and only those that the question selects reach the driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.expr.murmur import murmur3
from sparkmine.stats.base import Stat
from sparkmine.stats.counts import Counts, CountsState, KeyCounts
from sparkmine.stats.tokens import WORDS, Terms, Tokens

# Between a group and a term in a key; no word holds it.
BETWEEN = "\x1f"


def buckets_of(found: Terms, dims: int) -> np.ndarray:
    """The bucket of each of the distinct terms."""
    return np.mod(murmur3(found.distinct).astype(np.int64), dims)


@dataclass(frozen=True, eq=False)
class BucketState:
    """`texts` is their number; `documents` int64 [dims], those in which each bucket occurs."""

    texts: int
    documents: np.ndarray


@dataclass(frozen=True)
class BucketDocuments(Stat):
    """In how many texts of a column each of `dims` hash buckets occurs."""

    column: str
    tokens: Tokens
    dims: int

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> BucketState:
        return BucketState(0, np.zeros(self.dims, np.int64))

    def update(self, state: BucketState, arrays: list[pa.Array]) -> BucketState:
        texts = arrays[0].drop_null()
        found = self.tokens.terms(texts)
        cells = found.rows * self.dims + buckets_of(found, self.dims)[found.codes]
        documents = np.bincount(np.unique(cells) % self.dims, minlength=self.dims)
        return self.merge(state, BucketState(len(texts), documents.astype(np.int64)))

    def merge(self, a: BucketState, b: BucketState) -> BucketState:
        return BucketState(a.texts + b.texts, a.documents + b.documents)


@dataclass(frozen=True)
class TermDocuments(Counts):
    """In how many texts of a column each term occurs."""

    tokens: Tokens = WORDS

    def update(self, state: Any, arrays: list[pa.Array]) -> CountsState:
        found = self.tokens.terms(arrays[0])
        documents = np.bincount(found.once()[1], minlength=len(found.distinct))
        return self.merge(state, CountsState((_sorted(found.distinct, documents),)))


@dataclass(frozen=True)
class GroupDocuments(Counts):
    """In how many texts of each group of rows each term occurs; keys are `{group}\\x1f{term}`.

    Rows without a group are left out. Groups are counted as strings.
    """

    by: str = ""
    tokens: Tokens = WORDS

    @property
    def columns(self) -> tuple[str, ...]:
        return self.column, self.by

    def update(self, state: Any, arrays: list[pa.Array]) -> CountsState:
        grouped = arrays[1].is_valid()
        found = self.tokens.terms(arrays[0].filter(grouped))
        groups = arrays[1].filter(grouped).cast(pa.string()).dictionary_encode()
        rows, terms = found.once()
        owners = groups.indices.to_numpy().astype(np.int64)[rows]
        size = max(len(found.distinct), 1)
        pairs, documents = np.unique(owners * size + terms, return_counts=True)
        keys = pc.binary_join_element_wise(
            groups.dictionary.take(pa.array(pairs // size)),
            found.distinct.take(pa.array(pairs % size)),
            BETWEEN,
        )
        return self.merge(state, CountsState((_sorted(keys, documents),)))


@dataclass(frozen=True)
class TermPairs(Stat):
    """In how many texts of a column two terms occur together: int64 [t, t] for `terms` [t]."""

    column: str
    tokens: Tokens
    terms: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> np.ndarray:
        return np.zeros((len(self.terms), len(self.terms)), np.int64)

    def update(self, state: np.ndarray, arrays: list[pa.Array]) -> np.ndarray:
        from scipy.sparse import csr_array

        found = self.tokens.terms(arrays[0])
        places = places_of(found, pa.array(self.terms, pa.string()))
        rows, codes = found.once()
        wanted = places[codes] >= 0
        cells = rows[wanted], places[codes[wanted]]
        shape = len(arrays[0]), len(self.terms)
        inside = csr_array((np.ones(len(cells[0]), np.int64), cells), shape=shape)
        return state + (inside.T @ inside).toarray()

    def merge(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a + b


def places_of(found: Terms, vocabulary: pa.Array) -> np.ndarray:
    """Where each of the distinct terms stands in a vocabulary; -1 for those that do not."""
    places = pc.fill_null(pc.index_in(found.distinct, value_set=vocabulary), -1)
    return places.to_numpy(zero_copy_only=False).astype(np.int64)


def _sorted(keys: pa.Array, counts: np.ndarray) -> KeyCounts:
    """Distinct keys in order, without those that do not occur."""
    there = np.flatnonzero(counts)
    keys = keys.take(pa.array(there))
    order = pc.array_sort_indices(keys)
    return KeyCounts(keys.take(order), counts[there][order.to_numpy()].astype(np.int64))
