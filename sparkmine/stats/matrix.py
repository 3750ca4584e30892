"""Columns of an Arrow block side by side as one matrix of numbers, copied as late as possible.

A column is a number, a list of numbers (of one length in every row) or a vector of Spark ML. Lists
are read without a copy: their values lie row after row in one buffer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import DataError

# What is copied at once, to be centred and multiplied. Small enough for any process; so large that
# a product of d x d numbers, which is added for each, costs little beside the products of rows.
_BUFFER_BYTES = 1 << 26
DTYPES = {"float64": np.float64, "float32": np.float32}


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """A column whose rows differ in length."""

    column: str
    expected: int
    found: int

    def error(self) -> DataError:
        return DataError(
            f"column {self.column!r} has {self.expected} elements in its first row, but "
            f"{self.found} in another; rows of one matrix have one length"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Matrix:
    """The rows of a block.

    Attributes:
        names: The columns.
        parts: [rows, width] for each column, of float32 or float64; without the rows that are
            null, so they fit together only where `nulls` are all 0.
        nulls: Rows that are null, for each column.
        ragged: The first column whose rows differ in length, which then has width 0; or None.
    """

    names: tuple[str, ...]
    parts: tuple[np.ndarray, ...]
    nulls: tuple[int, ...]
    rows: int
    ragged: Ragged | None

    @property
    def widths(self) -> tuple[int | None, ...]:
        """Elements of each column; None where no row tells."""
        return tuple(part.shape[1] if len(part) else None for part in self.parts)

    def invalid(self) -> np.ndarray:
        """Rows with null, NaN or infinite values, for each column; a pass over all values."""
        bad = [int((~np.isfinite(part)).any(axis=1).sum()) for part in self.parts]
        return np.add(bad, self.nulls, dtype=np.int64)

    def mean(self, rows: int) -> np.ndarray:
        """Mean of the first `rows` rows [d]."""
        means = [part[:rows].mean(axis=0, dtype=np.float64) for part in self.parts]
        return np.concatenate(means) if means else np.zeros(0)

    def shifted(self, shift: np.ndarray, dtype: type) -> Iterator[np.ndarray]:
        """x - shift for some rows after the others: [n, d], in a buffer that is used again."""
        size = len(shift)
        step = max(_BUFFER_BYTES // (np.dtype(dtype).itemsize * max(size, 1)), 1)
        shape = (min(step, self.rows), size)
        # One number a column: rows of the buffer's transpose are columns, each written in one run.
        flat = all(part.shape[1] == 1 for part in self.parts)
        buffer: np.ndarray = np.empty(shape[::-1], dtype).T if flat else np.empty(shape, dtype)
        for begin in range(0, self.rows, step):
            end = min(begin + step, self.rows)
            out, at = buffer[: end - begin], 0
            for part in self.parts:
                to = at + part.shape[1]
                # Subtracted before it is rounded to `dtype`, so a large mean costs no digits.
                taken = _as(shift[at:to], part) if dtype is np.float32 else shift[at:to]
                np.subtract(part[begin:end], taken, out=out[:, at:to], casting="same_kind")
                at = to
            yield out


def refuse_gaps(names: Sequence[str], invalid: np.ndarray) -> None:
    """Raise DataError if one of the columns has invalid rows; `invalid` counts them."""
    bad = {name: int(count) for name, count in zip(names, invalid, strict=True) if count}
    if bad:
        listed = ", ".join(f"{name} ({count})" for name, count in list(bad.items())[:5])
        raise DataError(f"null, NaN or infinite values in {listed}; impute these columns before")


def matrix_of(names: Sequence[str], arrays: Sequence[pa.Array]) -> Matrix:
    """Read the columns of a block.

    Raises:
        DataError: a column that holds no numbers.
    """
    parts, nulls, ragged = [], [], None
    for name, array in zip(names, arrays, strict=True):
        part, different = _part(name, array.drop_null() if array.null_count else array)
        parts.append(part)
        nulls.append(array.null_count)
        ragged = ragged or different
    rows = len(arrays[0]) if arrays else 0
    return Matrix(
        names=tuple(names), parts=tuple(parts), nulls=tuple(nulls), rows=rows, ragged=ragged
    )


def usable_rows(
    names: Sequence[str], widths: Sequence[int], arrays: Sequence[pa.Array], dtype: str = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have a finite value everywhere [n], and those rows side by side [m, d].

    Args:
        widths: elements of each column.

    Raises:
        DataError: a column that holds no numbers, lists of other lengths.
    """
    usable = np.ones(len(arrays[0]) if arrays else 0, bool)
    for array in arrays:
        usable &= pc.is_valid(array).to_numpy(zero_copy_only=False)
    if not usable.all():
        arrays = [array.filter(pa.array(usable)) for array in arrays]
    if not usable.any():
        return usable, np.zeros((0, sum(widths)), dtype)
    found = matrix_of(names, arrays)
    if found.ragged is not None:
        raise found.ragged.error()
    for name, width, other in zip(names, widths, found.widths, strict=True):
        if other != width:
            raise DataError(f"column {name!r} has {other} elements a row; the model has {width}")
    values = np.concatenate([part.astype(dtype) for part in found.parts], axis=1)
    finite = np.isfinite(values).all(axis=1)
    usable[usable] = finite
    return usable, values if finite.all() else values[finite]


def list_array(values: np.ndarray) -> pa.Array:
    """A matrix [rows, k] as lists of doubles, without a copy where it is one buffer."""
    rows, size = values.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * size
    flat = pa.array(np.ascontiguousarray(values, np.float64).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets).cast(pa.int32()), flat)


def _as(shift: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The shift as float32 if that is exact and the part is so too: then nothing is converted."""
    rounded = shift.astype(part.dtype)
    return rounded if np.array_equal(rounded, shift) else shift


def _part(name: str, array: pa.Array) -> tuple[np.ndarray, Ragged | None]:
    """A column without nulls as [rows, width]."""
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        return _floats(name, array.flatten()).reshape(len(array), kind.list_size), None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(name, array.offsets, array.values)
    if pa.types.is_struct(kind) and {f.name for f in kind} == {"type", "size", "indices", "values"}:
        return _vectors(name, array)
    return _floats(name, array).reshape(-1, 1), None


def _lists(name: str, offsets: pa.Array, values: pa.Array) -> tuple[np.ndarray, Ragged | None]:
    ends = offsets.to_numpy(zero_copy_only=False)
    if len(ends) < 2:
        _floats(name, values.slice(0, 0))  # refuses other elements
        return np.zeros((0, 0)), None
    ragged = _uneven(name, np.diff(ends))
    if ragged is not None:
        return np.zeros((len(ends) - 1, 0)), ragged
    flat = _floats(name, values.slice(int(ends[0]), int(ends[-1] - ends[0])))
    return flat.reshape(len(ends) - 1, -1), None


def _vectors(name: str, array: pa.Array) -> tuple[np.ndarray, Ragged | None]:
    """Spark ML's vectors: of type 1 with all values, of type 0 with those that are not 0."""
    rows, dense = len(array), pc.equal(array.field("type"), 1).to_numpy(zero_copy_only=False)
    values = array.field("values")
    if dense.all():
        return _lists(name, values.offsets, values.values)
    lengths = np.where(
        dense,
        pc.list_value_length(values).to_numpy(zero_copy_only=False),
        pc.fill_null(array.field("size"), 0).to_numpy(zero_copy_only=False),
    ).astype(np.int64)
    ragged = _uneven(name, lengths)
    if ragged is not None:
        return np.zeros((rows, 0)), ragged
    size = int(lengths[0])
    found = np.zeros((rows, size))
    found[dense] = _floats(name, values.filter(pa.array(dense)).flatten()).reshape(-1, size)
    sparse = pa.array(~dense)
    indices, values = array.field("indices").filter(sparse), values.filter(sparse)
    counts = pc.list_value_length(indices).to_numpy(zero_copy_only=False)
    at = np.repeat(np.flatnonzero(~dense), counts)
    found[at, indices.flatten().to_numpy(zero_copy_only=False)] = _floats(name, values.flatten())
    return found, None


def _uneven(name: str, lengths: np.ndarray) -> Ragged | None:
    other = np.flatnonzero(lengths != lengths[0])
    if not len(other):
        return None
    return Ragged(column=name, expected=int(lengths[0]), found=int(lengths[other[0]]))


def _floats(name: str, array: pa.Array) -> np.ndarray:
    """Numbers as float32 or float64, nulls as NaN; floats without nulls are not copied."""
    kind = array.type
    if not (pa.types.is_float32(kind) or pa.types.is_float64(kind)):
        tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
        if not any(test(kind) for test in (*tests, pa.types.is_boolean, pa.types.is_null)):
            raise DataError(f"column {name!r} of type {kind} holds no numbers or vectors")
        array = pc.cast(array, pa.float64(), safe=False)
    return array.to_numpy(zero_copy_only=False)
