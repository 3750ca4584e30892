"""The vocabulary of a column of texts, chosen by in how many texts each term occurs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.stats import SelectedCounts, Stat
from sparkmine.stats.missing import Missing
from sparkmine.stats.terms import TermDocuments
from sparkmine.stats.tokens import Tokens

# Asked for beside `top_k`, as those that too many texts have go.
_SPARE = 256


@dataclass(frozen=True, eq=False, kw_only=True)
class TermTable:
    """Chosen terms, the most frequent first, ties by the term.

    Attributes:
        terms: The terms [k].
        documents: In how many texts each occurs [k].
        texts: How many texts there were.
    """

    terms: pa.Array
    documents: np.ndarray
    texts: int

    @classmethod
    def empty(cls) -> TermTable:
        """That of no texts."""
        return cls(terms=pa.array([], pa.string()), documents=np.zeros(0, np.int64), texts=0)

    def first(self, number: int) -> list[list[Any]]:
        """The most frequent terms, each with its texts."""
        some = zip(self.terms.to_pylist(), self.documents.tolist(), strict=True)
        return [list(pair) for pair in some][:number]

    @property
    def weights(self) -> np.ndarray:
        """Smooth inverse document frequencies [k]: ln((1 + texts) / (1 + documents)) + 1."""
        return inverse_frequencies(self.texts, self.documents)


def inverse_frequencies(texts: int, documents: np.ndarray) -> np.ndarray:
    """ln((1 + texts) / (1 + documents)) + 1, as scikit-learn's smooth idf."""
    return np.asarray(np.log((1.0 + texts) / (1.0 + documents)) + 1.0)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which terms make a vocabulary.

    Attributes:
        top_k: At most so many, those in the most texts.
        min_documents: Texts that a term must be in.
        max_document_share: Terms in a larger share of the texts are left out.
    """

    top_k: int
    min_documents: int = 1
    max_document_share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("top_k", "min_documents"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0.0 < self.max_document_share <= 1.0:
            raise ConfigError(
                f"max_document_share is {self.max_document_share}; it is above 0, at most 1"
            )

    def asking(
        self, columns: Sequence[str], tokens: Tokens
    ) -> Generator[list[Stat], list[Any], list[TermTable]]:
        """Ask for statistics, mostly once; return the vocabulary of each column."""
        spare = _SPARE if self.max_document_share < 1 else 0
        wanted = dict.fromkeys(columns, self.top_k + spare)
        chosen: dict[str, TermTable] = {}
        while wanted:
            stats: list[Stat] = []
            for column, size in wanted.items():
                question = TermDocuments(column, size, self.min_documents, tokens)
                stats += [Missing(column), question]
            answers = yield stats
            asked, wanted = wanted, {}
            triples = zip(asked.items(), answers[::2], answers[1::2], strict=True)
            for (column, size), found, counts in triples:
                table = self._chosen(counts, found.rows - found.missing)
                if len(table.terms) < self.top_k and counts.size == size:
                    wanted[column] = 2 * size  # too many were in too many texts
                else:
                    chosen[column] = table
        return [chosen[column] for column in columns]

    def _chosen(self, counts: SelectedCounts, texts: int) -> TermTable:
        kept = np.flatnonzero(counts.counts <= self.max_document_share * texts)[: self.top_k]
        terms = counts.keys.cast(pa.string()).take(pa.array(kept))
        return TermTable(terms=terms, documents=counts.counts[kept], texts=texts)
