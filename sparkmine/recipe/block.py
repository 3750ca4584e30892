"""Block functions: fitted operators that work on whole Arrow blocks, by BLAS or tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkmine.errors import DataError, ModelError
from sparkmine.stats.gram import matrix


class BlockFunction(ABC):
    """From columns of an Arrow block to one array column.

    Attributes:
        kind: Names the class in saved recipes.
        inputs: Names of the columns it reads.
    """

    kind: ClassVar[str]
    inputs: tuple[str, ...]

    @abstractmethod
    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One list<double> for each row."""

    @abstractmethod
    def write(self, file: Path) -> None:
        """Save as an Arrow file."""

    @classmethod
    @abstractmethod
    def read(cls, file: Path) -> BlockFunction:
        """Load what `write` saved.

        Raises:
            ModelError: another file.
        """


@dataclass(frozen=True, eq=False)
class AffineBlock(BlockFunction):
    """An affine map of a block of scalar columns to one array column: (x - shift) @ weights.

    Attributes:
        inputs: Names of the d scalar columns.
        shift: [d].
        weights: [d, k].
    """

    kind: ClassVar[str] = "affine"
    inputs: tuple[str, ...]
    shift: np.ndarray
    weights: np.ndarray

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One list<double> of length k for each row.

        Raises:
            DataError: null, NaN or infinite input values; names a column.
        """
        columns = [block.column(name) for name in self.inputs]
        values = matrix(
            [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
        )
        bad = ~np.isfinite(values)
        if bad.any():
            name = self.inputs[int(np.flatnonzero(bad.any(axis=0))[0])]
            raise DataError(f"column {name!r} has null, NaN or infinite values; impute it before")
        projected = np.ascontiguousarray((values - self.shift) @ self.weights)
        size = self.weights.shape[1]
        offsets = np.arange(0, len(values) * size + 1, size, dtype=np.int32) if len(values) else [0]
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(projected.ravel()))

    def write(self, file: Path) -> None:
        """Save as an Arrow file: one row an input column, with its shift and weights."""
        size = self.weights.shape[1]
        table = pa.table(
            {
                "input": list(self.inputs),
                "shift": self.shift,
                "weights": pa.FixedSizeListArray.from_arrays(self.weights.ravel(), size),
            }
        )
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, file: Path) -> AffineBlock:
        """Load what `write` saved.

        Raises:
            ModelError: another file.
        """
        try:
            with pa.OSFile(str(file), "rb") as source:
                table = pa.ipc.open_file(source).read_all()
            size = table.schema.field("weights").type.list_size
            weights = table.column("weights").combine_chunks().flatten().to_numpy()
            return cls(
                tuple(table.column("input").to_pylist()),
                table.column("shift").to_numpy().copy(),
                weights.reshape(-1, size).copy(),
            )
        except (OSError, KeyError, AttributeError, pa.ArrowException) as error:
            raise ModelError(f"{file} is not a matrix of a recipe: {error}") from None
