"""A table from keys to numbers, as an immutable value that may hold many millions of keys."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def integers(self) -> bool:
        return bool(pa.types.is_integer(self.keys.type))

    @property
    def inline(self) -> bool:
        """True if it is small enough to stand in JSON."""
        return len(self) <= INLINE_KEYS

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

    def extended(self, other: Vocabulary, start: int) -> Vocabulary:
        """This one, and behind it the keys that only `other` has, numbered from `start` in the
        order in which they stand there."""
        if not len(self):
            new = other.keys
        else:
            new = pc.filter(other.keys, pc.invert(pc.is_in(other.keys, value_set=self.keys)))
        keys = pa.concat_arrays([self.keys, new]) if len(self) else new
        numbers = np.arange(start, start + len(new), dtype=np.float64)
        return Vocabulary(keys, np.concatenate([self.values, numbers]))

    def to_json(self) -> dict[str, Any]:
        """Keys and values; of a large one, the name of the file or folder that holds them."""
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
        """Write what `to_json` names into `folder`."""
        pq.write_table(self.table(), folder / self.to_json()["file"])

    def copied(self, folder: Path) -> list[Path]:
        """All of it as Parquet files in `folder`, with names that it has for itself."""
        file = folder / f"{self.digest}-00000.parquet"
        pq.write_table(self.table(), file)
        return [file]

    @staticmethod
    def read(file: Path) -> Vocabulary:
        """What `write` wrote; of a folder, only which files it holds and how many keys."""
        if file.is_dir():
            digest = file.stem.removeprefix("vocabulary-")
            return FiledVocabulary(sorted(file.glob("*.parquet")), digest)
        table = pq.read_table(file).combine_chunks()
        return Vocabulary(table.column("key").combine_chunks(), table.column("value").to_numpy())


class FiledVocabulary(Vocabulary):
    """One whose keys and values are Parquet files, which executors write and join.

    `keys` and `values` are read when they are first asked for: evaluating on Arrow needs them in
    memory, Spark does not.

    Args:
        files: At least one, where the executors see them.
        digest: The same for equal contents.
    """

    def __init__(self, files: Sequence[Path], digest: str) -> None:
        footers = [pq.read_metadata(file) for file in files]
        kinds = {pa.types.is_integer(f.schema.to_arrow_schema().field("key").type) for f in footers}
        self.__dict__.update(
            files=tuple(files),
            digest=digest,
            _size=sum(footer.num_rows for footer in footers),
            _integers=kinds == {True},
        )

    files: tuple[Path, ...]
    _size: int
    _integers: bool

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"FiledVocabulary({self._size} keys in {len(self.files)} files)"

    def __reduce__(self) -> tuple[type, tuple[tuple[Path, ...], str]]:
        return type(self), (self.files, self.digest)  # keys that were read stay behind

    @property
    def integers(self) -> bool:
        return self._integers

    @property
    def inline(self) -> bool:
        return False

    @cached_property
    def keys(self) -> pa.Array:
        return self._column("key")

    @cached_property
    def values(self) -> np.ndarray:
        return self._column("value").to_numpy()

    def _column(self, name: str) -> pa.Array:
        tables = [pq.read_table(file, columns=[name]) for file in self.files]
        return pa.concat_tables(tables).combine_chunks().column(name).combine_chunks()

    def write(self, folder: Path) -> None:
        target = folder / self.to_json()["file"]
        target.mkdir(exist_ok=True)
        self.copied(target)

    def copied(self, folder: Path) -> list[Path]:
        return [
            Path(shutil.copyfile(file, folder / f"{self.digest}-{number:05}.parquet"))
            for number, file in enumerate(self.files)
        ]
