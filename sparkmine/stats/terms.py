"""Words of texts by the hashing trick, and in how many texts each hash bucket occurs.

Words are runs of letters, digits and underscores of any script. An n-gram is n words of one text
in a row, joined by a space. Its bucket is its Murmur3 hash (that of Spark's `hash`) modulo `dims`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.expr.murmur import murmur3
from sparkmine.stats.base import Stat

_BETWEEN = r"[^\p{L}\p{N}_]+"


@dataclass(frozen=True)
class Words:
    """How texts become buckets.

    Attributes:
        dims: Number of buckets.
        ngrams: The smallest and the largest n.
        lower: Upper case is lower case.
    """

    dims: int
    ngrams: tuple[int, int]
    lower: bool

    def cells(self, texts: pa.Array) -> np.ndarray:
        """row · dims + bucket of every n-gram, int64; null texts have none."""
        lowered = pc.utf8_lower(texts) if self.lower else texts
        lists = pc.split_pattern_regex(lowered, _BETWEEN)
        words, rows = pc.list_flatten(lists), pc.list_parent_indices(lists)
        full = pc.not_equal(words, "")  # before the first and after the last word
        words = words.filter(full)
        rows = rows.filter(full).to_numpy(zero_copy_only=False).astype(np.int64)
        found = []
        for size in range(self.ngrams[0], self.ngrams[1] + 1):
            count = max(len(words) - size + 1, 0)
            parts = [words.slice(start, count) for start in range(size)]
            joined = parts[0] if size == 1 else pc.binary_join_element_wise(*parts, " ")
            first, last = rows[:count], rows[size - 1 :]
            inside = first == last
            buckets = np.mod(murmur3(joined).astype(np.int64), self.dims)
            found.append((first * self.dims + buckets)[inside])
        return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class TermState:
    """`texts` is their number; `documents` int64 [dims], those in which each bucket occurs."""

    texts: int
    documents: np.ndarray


@dataclass(frozen=True)
class Terms(Stat):
    """Document frequencies of the hash buckets of one text column; nulls are no texts."""

    column: str
    words: Words

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> TermState:
        return TermState(0, np.zeros(self.words.dims, np.int64))

    def update(self, state: TermState, arrays: list[pa.Array]) -> TermState:
        texts = arrays[0].drop_null()
        once = np.unique(self.words.cells(texts)) % self.words.dims
        documents = np.bincount(once, minlength=self.words.dims).astype(np.int64)
        return self.merge(state, TermState(len(texts), documents))

    def merge(self, a: TermState, b: TermState) -> TermState:
        return TermState(a.texts + b.texts, a.documents + b.documents)
