"""Text to numbers.

What words and n-grams are is the same everywhere, see [text.md](text.md): runs of letters, marks
and digits of any script, folded. `unit: character` takes runs of characters within words instead;
`stop_words` is a language whose list Spark ML ships, such as `english`, or a list of words.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkmine.errors import ConfigError, RecipeError
from sparkmine.recipe.block import BlockFunction
from sparkmine.recipe.columns import INDEX, SPARSE, TEXT, VECTOR, ColumnInfo
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, text
from sparkmine.recipe.term_block import FIRST, SequenceBlock, TermBlock
from sparkmine.recipe.vocabulary import Choice, TermTable, inverse_frequencies
from sparkmine.stats import Stat
from sparkmine.stats.stop_words import stop_words
from sparkmine.stats.terms import BucketDocuments
from sparkmine.stats.tokens import Tokens, Unit

MAX_DIMS, MAX_SPARSE_DIMS = 4096, 2**20
_Made = tuple[BlockFunction, ColumnInfo, dict[str, Any]]
_Making = Generator[list[Stat], list[Any], list[_Made]]


def _most(sparse: bool) -> int:
    return MAX_SPARSE_DIMS if sparse else MAX_DIMS


def _advice(sparse: bool) -> str:
    return "" if sparse else f", and with sparse: true {MAX_SPARSE_DIMS}"


@dataclass(frozen=True, kw_only=True)
class _TextOperator(Operator):
    """Base of operators that make one column of numbers of each column of texts."""

    columns: Selector = field(default_factory=text)
    unit: Unit = "word"
    ngrams: Sequence[int] = (1, 1)
    lower: bool = True
    stop_words: str | Sequence[str] | None = None
    min_length: int = 1

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.output is None:
            raise RecipeError(f"{name} needs the name of its array column as output=")
        object.__setattr__(self, "ngrams", list(self.ngrams))  # as JSON and YAML have it
        if self.stop_words is not None and not isinstance(self.stop_words, str):
            object.__setattr__(self, "stop_words", list(self.stop_words))
        try:
            self._check()
            self._tokens()
        except ConfigError as error:
            raise RecipeError(f"{name}: {error}") from None

    def _check(self) -> None:
        """Raise ConfigError for parameters that cannot be."""

    @abstractmethod
    def _fitted(self, columns: Sequence[str]) -> _Making:
        """Ask for statistics; return block, column and details for each of the columns."""

    def _tokens(self) -> Tokens:
        return Tokens(
            unit=self.unit,
            ngrams=tuple(self.ngrams),  # type: ignore[arg-type]
            lower=self.lower,
            stop_words=stop_words(self.stop_words),
            min_length=self.min_length,
        )

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        for column in picked:
            if column.kind != TEXT:
                raise RecipeError(
                    f"{type(self).__name__} works on text; {column.name!r} is of kind {column.kind}"
                )
        names = [column.name for column in picked]
        found = yield from self._fitted(names)
        return Outcome(
            blocks={info.name: block for block, info, _ in found},
            infos={info.name: info for _, info, _ in found},
            details={n: some for n, (_, _, some) in zip(names, found, strict=True) if some},
        )


@dataclass(frozen=True, kw_only=True)
class HashTfIdf(_TextOperator):
    """Each text as one array<double> of weighted term counts, of length `dims` at most 4096.

    Terms are hashed to buckets (Weinberger et al., 2009; Spark's Murmur3, without signs), counted,
    weighted by ln((1 + texts) / (1 + texts with the bucket)) + 1 and scaled to length 1, as
    scikit-learn's `TfidfTransformer`. An unseen word has the weight of its bucket. A null, empty or
    wordless text is all zeros; nulls do not count as texts. The source column stays. Dense: a block
    of 10,000 rows takes 80 MB at `dims` 1024. With `sparse: true` it is a sparse vector as
    `TfIdf`'s, of `dims` up to 1,048,576.
    """

    output: str | None = "{}_tfidf"
    dims: int = 2**10
    sparse: bool = False
    ngrams: Sequence[int] = (1, 2)

    def _check(self) -> None:
        most = _most(self.sparse)
        if not 2 <= self.dims <= most:
            raise ConfigError(f"dims is {self.dims}; it is from 2 to {most}{_advice(self.sparse)}")

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        kind = SPARSE if self.sparse else VECTOR
        made = [ColumnInfo(self.output_name(c.name), kind, self.dims, (c.name,)) for c in picked]
        return made, ()

    def _fitted(self, columns: Sequence[str]) -> _Making:
        tokens = self._tokens()
        answers = yield [BucketDocuments(column, tokens, self.dims) for column in columns]
        made: list[_Made] = []
        for column, found in zip(columns, answers, strict=True):
            weights = inverse_frequencies(found.texts, found.documents)
            kind = SPARSE if self.sparse else VECTOR
            info = ColumnInfo(self.output_name(column), kind, self.dims, (column,))
            made.append((TermBlock((column,), tokens, weights, sparse=self.sparse), info, {}))
        return made


@dataclass(frozen=True, kw_only=True)
class _VocabularyOperator(_TextOperator):
    """Base of operators that learn which terms there are."""

    top_k: int = 1000
    min_documents: int = 2
    max_document_share: float = 1.0

    def _choice(self) -> Choice:
        return Choice(
            top_k=self.top_k,
            min_documents=self.min_documents,
            max_document_share=self.max_document_share,
        )

    def _check(self) -> None:
        self._choice()

    @abstractmethod
    def _made(
        self, column: str, tokens: Tokens, table: TermTable
    ) -> tuple[BlockFunction, str, int]:
        """The block, and the kind and the cardinality of its column."""

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        empty = TermTable.empty()
        made = []
        for column in picked:
            _, kind, _ = self._made(column.name, Tokens(), empty)
            made.append(ColumnInfo(self.output_name(column.name), kind, None, (column.name,)))
        return made, ()

    def _fitted(self, columns: Sequence[str]) -> _Making:
        tokens = self._tokens()
        tables = yield from self._choice().asking(columns, tokens)
        made: list[_Made] = []
        for column, table in zip(columns, tables, strict=True):
            block, kind, cardinality = self._made(column, tokens, table)
            info = ColumnInfo(self.output_name(column), kind, cardinality, (column,))
            details = {
                "texts": table.texts,
                "terms": len(table.terms),
                "most frequent": table.first(5),
            }
            made.append((block, info, details))
        return made


@dataclass(frozen=True, kw_only=True)
class TfIdf(_VocabularyOperator):
    """Each text as one array<double> of weighted counts of the terms of a fitted vocabulary.

    The vocabulary is the `top_k` terms (at most 4096) that are in the most texts, ties by the term,
    of those in at least `min_documents` texts and at most a share `max_document_share` of them.
    Counts (with `sublinear`: 1 + ln(count)) times ln((1 + texts) / (1 + texts with the term)) + 1
    are scaled to length 1 (Salton and Buckley, 1988): scikit-learn's `TfidfVectorizer` with the
    same terms. An unseen term counts nothing. A null, empty or wordless text, and one of unseen
    terms only, is all zeros; nulls do not count as texts; a column without terms gives empty
    arrays. Document frequencies are exact, from the scan that other operators use too. The source
    column stays. Dense: a block of 10,000 rows takes 80 MB at 1000 terms.

    With `sparse: true` it is a struct of `size`, `indices` and `values` instead, 12 bytes for each
    different term of a text, and `top_k` is at most 1,048,576. Sparse columns are taken by
    `kind: scikit_learn` and `kind: logistic`; other models and operators refuse them.
    """

    output: str | None = "{}_tfidf"
    sublinear: bool = False
    sparse: bool = False

    def _check(self) -> None:
        super()._check()
        most = _most(self.sparse)
        if self.top_k > most:
            raise ConfigError(f"top_k is {self.top_k}; it is at most {most}{_advice(self.sparse)}")

    def _made(
        self, column: str, tokens: Tokens, table: TermTable
    ) -> tuple[BlockFunction, str, int]:
        how = (self.sublinear, self.sparse)
        block = TermBlock((column,), tokens, table.weights, table.terms, *how)
        return block, SPARSE if self.sparse else VECTOR, len(table.terms)


@dataclass(frozen=True, kw_only=True)
class TokenSequence(_VocabularyOperator):
    """Each text as an array of the numbers of its words in order, for embeddings: see `RNN`.

    Words are numbered from 2 by in how many texts they are, ties by the word; 1 is a word that is
    rare (see `TfIdf` for `top_k`, `min_documents` and `max_document_share`) or unseen. What is
    behind the first `length` words is cut off, shorter texts have shorter arrays. A null, empty or
    wordless text is [0]. The source column stays. The array's cardinality, the terms and 2, is
    noted with the column.
    """

    output: str | None = "{}_words"
    top_k: int = 10_000
    length: int = 32

    def _check(self) -> None:
        super()._check()
        if self.length < 1:
            raise ConfigError(f"length is {self.length}; it is at least 1")
        if self.ngrams != [1, 1] or self.unit != "word":
            raise ConfigError("it takes single words: leave out unit= and ngrams=")

    def _made(
        self, column: str, tokens: Tokens, table: TermTable
    ) -> tuple[BlockFunction, str, int]:
        block = SequenceBlock((column,), tokens, table.terms, self.length)
        return block, INDEX, FIRST + len(table.terms)
