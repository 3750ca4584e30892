"""A fitted text column: from texts to weighted counts of hash buckets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from sparkmine.errors import ModelError
from sparkmine.recipe.block import BlockFunction
from sparkmine.stats.terms import Words

_ROWS = 4096  # a dense block of 4096 texts and 4096 buckets takes 128 MB


@dataclass(frozen=True, eq=False)
class TermBlock(BlockFunction):
    """Counts of the buckets of a text times their weights, scaled to length 1.

    Attributes:
        inputs: The name of the one text column.
        words: How texts become buckets.
        weights: [dims], the inverse document frequencies.
    """

    kind: ClassVar[str] = "terms"
    inputs: tuple[str, ...]
    words: Words
    weights: np.ndarray

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One list<double> of length dims for each row; a text without words is all 0, as null."""
        column = block.column(self.inputs[0])
        texts = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        parts = [
            self._weighted(texts.slice(start, _ROWS))
            for start in range(0, max(len(texts), 1), _ROWS)
        ]
        values = pa.concat_arrays([pa.array(part.ravel()) for part in parts])
        offsets = np.arange(len(texts) + 1, dtype=np.int64) * self.words.dims
        if offsets[-1] < 2**31:
            return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
        return pa.LargeListArray.from_arrays(pa.array(offsets), values)

    def _weighted(self, texts: pa.Array) -> np.ndarray:
        dims = self.words.dims
        counts = np.bincount(self.words.cells(texts), minlength=len(texts) * dims)
        weighted = counts.reshape(len(texts), dims) * self.weights
        length = np.sqrt(np.square(weighted).sum(axis=1, keepdims=True))
        return np.divide(weighted, length, out=weighted, where=length > 0)

    def write(self, file: Path) -> None:
        """Save as an Arrow file: one row a bucket; how texts are split is in its metadata."""
        words = {
            "inputs": list(self.inputs),
            "dims": self.words.dims,
            "ngrams": list(self.words.ngrams),
            "lower": self.words.lower,
        }
        table = pa.table({"weight": self.weights}).replace_schema_metadata(
            {"sparkmine": json.dumps(words)}
        )
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, file: Path) -> TermBlock:
        """Load what `write` saved.

        Raises:
            ModelError: another file.
        """
        try:
            with pa.OSFile(str(file), "rb") as source:
                table = pa.ipc.open_file(source).read_all()
            noted: dict[str, Any] = json.loads((table.schema.metadata or {})[b"sparkmine"])
            low, high = noted["ngrams"]
            words = Words(noted["dims"], (low, high), noted["lower"])
            weights = table.column("weight").to_numpy().copy()
        except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
            raise ModelError(f"{file} is no word weights of a recipe: {error}") from None
        return cls(tuple(noted["inputs"]), words, weights)
