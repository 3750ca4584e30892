"""Fitted text columns: from texts to weighted counts of terms, or to numbers of words in order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from sparkmine.errors import ModelError
from sparkmine.recipe.block import BlockFunction
from sparkmine.stats.sparse import sparse_array
from sparkmine.stats.terms import buckets_of, places_of
from sparkmine.stats.tokens import Terms, Tokens

# A dense block of 2048 texts and 4096 terms takes 64 MB.
_ROWS = 2048
MISSING, UNKNOWN, FIRST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class TermBlock(BlockFunction):
    """Counts of the terms of a text times their weights, scaled to length 1.

    Attributes:
        inputs: The name of the one text column.
        tokens: How texts become terms.
        weights: [k], the inverse document frequencies.
        vocabulary: The terms [k]; None where they are hashed to k buckets.
        sublinear: A count n of a term is 1 + ln(n).
        sparse: Whether the result is sparse vectors.
    """

    kind: ClassVar[str] = "terms"
    inputs: tuple[str, ...]
    tokens: Tokens
    weights: np.ndarray
    vocabulary: pa.Array | None = None
    sublinear: bool = False
    sparse: bool = False

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One vector of length k for each row; a text without terms is all 0, as null."""
        texts = _texts(block, self.inputs[0])
        if self.sparse:
            return self._sparse(texts)
        parts = [
            self._weighted(texts.slice(start, _ROWS))
            for start in range(0, max(len(texts), 1), _ROWS)
        ]
        values = pa.concat_arrays([pa.array(part.ravel()) for part in parts])
        offsets = np.arange(len(texts) + 1, dtype=np.int64) * len(self.weights)
        if offsets[-1] < 2**31:
            return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
        return pa.LargeListArray.from_arrays(pa.array(offsets), values)

    def _weighted(self, texts: pa.Array) -> np.ndarray:
        size = len(self.weights)
        found = self.tokens.terms(texts)
        places = self._places(found)[found.codes]
        cells = (found.rows * size + places)[places >= 0]
        counts = np.bincount(cells, minlength=len(texts) * size).reshape(len(texts), size)
        if self.sublinear:
            counts = np.where(counts > 0, 1.0 + np.log(np.maximum(counts, 1)), 0.0)
        weighted: np.ndarray = counts * self.weights
        length = np.sqrt(np.square(weighted).sum(axis=1, keepdims=True))
        return np.divide(weighted, length, out=weighted, where=length > 0)

    def _sparse(self, texts: pa.Array) -> pa.StructArray:
        size = len(self.weights)
        found = self.tokens.terms(texts)
        places = self._places(found)[found.codes]
        known = places >= 0
        cells, counts = np.unique(
            found.rows[known].astype(np.int64) * size + places[known], return_counts=True
        )
        rows, terms = np.divmod(cells, max(size, 1))
        values = (1.0 + np.log(counts) if self.sublinear else counts) * self.weights[terms]
        length = np.sqrt(np.bincount(rows, np.square(values), minlength=len(texts)))
        return sparse_array(rows, terms, values / length[rows], len(texts), size)

    def _places(self, found: Terms) -> np.ndarray:
        if self.vocabulary is None:
            return buckets_of(found, len(self.weights))
        return places_of(found, self.vocabulary)

    def write(self, file: Path) -> None:
        """Save as an Arrow file: one row a term; how texts are split is in its metadata."""
        columns = {"weight": pa.array(self.weights)}
        if self.vocabulary is not None:
            columns["term"] = self.vocabulary
        noted = {"sublinear": self.sublinear, "sparse": self.sparse}
        _write(file, columns, self.inputs, self.tokens, **noted)

    @classmethod
    def read(cls, file: Path) -> TermBlock:
        """Load what `write` saved.

        Raises:
            ModelError: another file.
        """
        table, noted = _read(file)
        try:
            weights = table.column("weight").to_numpy().copy()
            terms = table.column("term").combine_chunks() if "term" in table.column_names else None
            how = (noted["sublinear"], noted.get("sparse", False))
            return cls(noted["inputs"], noted["tokens"], weights, terms, *how)
        except KeyError as error:
            raise ModelError(f"{file} holds no terms of a recipe: no {error}") from None


@dataclass(frozen=True, eq=False)
class SequenceBlock(BlockFunction):
    """The numbers of the words of a text in their order: from 2, 1 for words not in `vocabulary`.

    Attributes:
        length: Words behind it are cut off.
    """

    kind: ClassVar[str] = "term sequence"
    inputs: tuple[str, ...]
    tokens: Tokens
    vocabulary: pa.Array
    length: int

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """A list<double> of 1 to `length` numbers for each row; without words it is [0]."""
        texts = _texts(block, self.inputs[0])
        found = self.tokens.terms(texts)
        places = places_of(found, self.vocabulary)
        numbers = np.where(places >= 0, places + FIRST, UNKNOWN)[found.codes]
        sizes = np.bincount(found.rows, minlength=len(texts))
        order = np.arange(len(found.rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kept = numbers[order < self.length].astype(np.float64)
        sizes = np.minimum(sizes, self.length)
        starts = np.cumsum(sizes) - sizes
        values = np.insert(kept, starts[sizes == 0], float(MISSING))
        ends = np.cumsum(np.maximum(sizes, 1))
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))

    def write(self, file: Path) -> None:
        """Save as an Arrow file: one row a word."""
        _write(file, {"term": self.vocabulary}, self.inputs, self.tokens, length=self.length)

    @classmethod
    def read(cls, file: Path) -> SequenceBlock:
        """Load what `write` saved.

        Raises:
            ModelError: another file.
        """
        table, noted = _read(file)
        try:
            terms = table.column("term").combine_chunks()
            return cls(noted["inputs"], noted["tokens"], terms, noted["length"])
        except KeyError as error:
            raise ModelError(f"{file} holds no terms of a recipe: no {error}") from None


def _texts(block: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    column = block.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _write(
    file: Path,
    columns: dict[str, pa.Array],
    inputs: tuple[str, ...],
    tokens: Tokens,
    **more: Any,
) -> None:
    noted = {"inputs": list(inputs), "tokens": asdict(tokens), **more}
    table = pa.table(columns).replace_schema_metadata({"sparkmine": json.dumps(noted)})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        with pa.OSFile(str(file), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        noted: dict[str, Any] = json.loads((table.schema.metadata or {})[b"sparkmine"])
        noted["tokens"] = Tokens(**noted["tokens"])
        noted["inputs"] = tuple(noted["inputs"])
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise ModelError(f"{file} holds no terms of a recipe: {error}") from None
    return table, noted
