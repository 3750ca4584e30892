"""A table from keys to numbers, as an immutable value that may hold millions of keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkmine.errors import ExpressionError

# A larger vocabulary is a file beside the JSON, and a join instead of a literal in a plan.
INLINE_KEYS = 10_000


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Distinct `keys` (string or int64) and the number of each, `values` float64 [k]."""

    keys: pa.Array
    values: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        kind = pa.int64() if pa.types.is_integer(self.keys.type) else pa.string()
        object.__setattr__(self, "keys", self.keys.cast(kind))
        object.__setattr__(self, "values", np.asarray(self.values, np.float64))
        if len(self.keys) != len(self.values):
            raise ExpressionError(f"{len(self.keys)} keys, but {len(self.values)} values")

    @classmethod
    def of(cls, table: Mapping[str, float] | Mapping[int, float]) -> Vocabulary:
        keys = pa.array(list(table)) if table else pa.array([], pa.string())
        return cls(keys, np.fromiter(table.values(), np.float64, len(table)))

    @property
    def integers(self) -> bool:
        return bool(pa.types.is_integer(self.keys.type))

    @property
    def inline(self) -> bool:
        """True if it is small enough to stand in JSON."""
        return len(self.keys) <= INLINE_KEYS

    @cached_property
    def digest(self) -> str:
        """The same for equal contents."""
        sink = pa.BufferOutputStream()
        table = self.table()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return hashlib.sha256(sink.getvalue()).hexdigest()[:16]

    def table(self) -> pa.Table:
        """Columns `key` and `value`."""
        return pa.table({"key": self.keys, "value": self.values})

    def to_json(self) -> dict[str, Any]:
        """Keys and values; of a large one, the name of the file that holds them."""
        if self.inline:
            return {"keys": self.keys.to_pylist(), "values": self.values.tolist()}
        return {"file": f"vocabulary-{self.digest}.parquet"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Vocabulary:
        if "file" in data:
            raise ExpressionError(f"the vocabulary is in the file {data['file']}, not here")
        keys = pa.array(data["keys"]) if data["keys"] else pa.array([], pa.string())
        return cls(keys, np.array(data["values"], np.float64))

    def write(self, folder: Path) -> None:
        pq.write_table(self.table(), folder / self.to_json()["file"])

    @classmethod
    def read(cls, file: Path) -> Vocabulary:
        table = pq.read_table(file).combine_chunks()
        return cls(table.column("key").combine_chunks(), table.column("value").to_numpy())
