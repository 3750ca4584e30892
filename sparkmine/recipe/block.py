"""Block functions: fitted operators that work on whole Arrow blocks, by BLAS or tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkmine.errors import DataError, ModelError
from sparkmine.stats.matrix import list_array, matrix_of

_KINDS: dict[str, type[BlockFunction]] = {}


class BlockFunction(ABC):
    """From columns of an Arrow block to one column.

    A class of your own stands in the module of its operator, so that loading finds it.

    Attributes:
        kind: Names the class in saved recipes; no two classes share one.
        scalar: True where `apply` gives one double a row, not a list.
        sparse: True where it gives sparse vectors, see `stats/sparse.py`.
        inputs: Names of the columns it reads.
    """

    kind: ClassVar[str]
    scalar: ClassVar[bool] = False
    sparse: bool = False
    inputs: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in vars(cls):
            other = _KINDS.get(cls.kind, cls)
            # The same name again is a cell of a notebook that is run again.
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"{cls.__qualname__}.kind is taken by {other.__qualname__}")
            _KINDS[cls.kind] = cls

    @staticmethod
    def of_kind(kind: str) -> type[BlockFunction] | None:
        """The class that saved recipes call so."""
        return _KINDS.get(kind)

    @abstractmethod
    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One list<double> for each row, one double, or one sparse vector."""

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


@dataclass(frozen=True, eq=False, kw_only=True)
class AffineBlock(BlockFunction):
    """An affine map of columns, side by side, to one array column: (x - shift) @ weights.

    Attributes:
        inputs: Names of the columns: numbers, lists of numbers, or Spark's vectors.
        widths: Elements of each of them; together d.
        shift: [d].
        weights: [d, k].
        inverse: [k, d]: what leads back to x - shift.
    """

    kind: ClassVar[str] = "affine"
    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    shift: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One list<double> of length k for each row.

        Raises:
            DataError: null, NaN or infinite input values, or rows of another length than those
                of the fit; names a column.
        """
        found = map_rows(
            (self.inputs, self.widths, self.shift),
            block,
            lambda rows: rows @ self.weights,
            self.weights.shape[1],
        )
        return list_array(found)

    def inverse_transform(self, values: np.ndarray) -> np.ndarray:
        """Rows [n, k], as `apply` gives them, as rows of the input [n, d].

        What the k directions do not span is lost: such a part of a row comes back as the shift.
        """
        return np.asarray(values @ self.inverse + self.shift)

    def write(self, file: Path) -> None:
        """Save as an Arrow file: one row for each of the d columns of the matrix."""
        write_rows(
            file,
            (self.inputs, self.widths),
            {"shift": self.shift, "weights": self.weights, "inverse": self.inverse.T},
        )

    @classmethod
    def read(cls, file: Path) -> AffineBlock:
        """Load what `write` saved.

        Raises:
            ModelError: another file.
        """
        (inputs, widths), found = read_rows(file, ("shift", "weights", "inverse"))
        return cls(
            inputs=inputs,
            widths=widths,
            shift=found["shift"],
            weights=found["weights"],
            inverse=np.ascontiguousarray(found["inverse"].T),
        )


def map_rows(
    source: tuple[Sequence[str], Sequence[int], np.ndarray],
    block: pa.Table | pa.RecordBatch,
    function: Callable[[np.ndarray], np.ndarray],
    size: int,
) -> np.ndarray:
    """`function` of the rows [n, d] of columns side by side, less a shift: [rows of block, size].

    Args:
        source: Names of the columns, their widths, the shift [d].
        function: From some rows [n, d], in a buffer that it may overwrite, to [n, size].

    Raises:
        DataError: see `AffineBlock.apply`.
    """
    names, widths, shift = source
    found, at = np.empty((block.num_rows, size)), 0
    for batch in block.to_batches() if isinstance(block, pa.Table) else [block]:
        if not batch.num_rows:
            continue
        rows = matrix_of(names, [batch.column(name) for name in names])
        if rows.ragged is not None:
            raise rows.ragged.error()
        for name, width, other in zip(names, widths, rows.widths, strict=True):
            if other is not None and other != width:
                raise DataError(
                    f"column {name!r} has {other} elements a row; the recipe was fitted on {width}"
                )
        begin = at
        if not any(rows.nulls):
            with np.errstate(invalid="ignore", over="ignore"):
                for part in rows.shifted(shift, np.float64):
                    found[at : at + len(part)] = function(part)
                    at += len(part)
        # A value that is not finite makes its whole row so.
        if any(rows.nulls) or not np.isfinite(found[begin:at]).all():
            invalid = rows.invalid()
            if invalid.any():
                name = names[int(np.flatnonzero(invalid)[0])]
                raise DataError(
                    f"column {name!r} has null, NaN or infinite values; impute it before"
                )
    return found


def write_rows(
    file: Path,
    source: tuple[Sequence[str], Sequence[int]],
    arrays: dict[str, np.ndarray],
) -> None:
    """Save arrays [d] or [d, k] as an Arrow file: d rows, each with the name of its column."""
    names = [name for name, width in zip(*source, strict=True) for _ in range(width)]
    columns = {"input": pa.array(names, pa.string())}
    for name, array in arrays.items():
        flat = pa.array(np.ascontiguousarray(array, np.float64).reshape(-1))
        columns[name] = (
            flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
        )
    table = pa.table(columns)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read_rows(
    file: Path, wanted: Sequence[str]
) -> tuple[tuple[tuple[str, ...], tuple[int, ...]], dict[str, np.ndarray]]:
    """The names, widths and arrays that `write_rows` saved.

    Raises:
        ModelError: another file.
    """
    try:
        with pa.OSFile(str(file), "rb") as source:
            table = pa.ipc.open_file(source).read_all()
        runs = [(name, len(list(run))) for name, run in groupby(table.column("input").to_pylist())]
        found = {}
        for name in wanted:
            column = table.column(name).combine_chunks()
            if pa.types.is_fixed_size_list(column.type):
                size = column.type.list_size
                found[name] = column.flatten().to_numpy().reshape(-1, size).copy()
            else:
                found[name] = column.to_numpy().copy()
    except (OSError, KeyError, AttributeError, pa.ArrowException) as error:
        raise ModelError(f"{file} is not a matrix of a recipe: {error}") from None
    return (tuple(name for name, _ in runs), tuple(width for _, width in runs)), found
