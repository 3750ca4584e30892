"""Columns of sparse vectors: of each row the places that are not zero, and their values.

A sparse column is a struct of `size`, the length of a vector, `indices`, which rise, and `values`.
It is read into a SciPy matrix of compressed rows, so that what is zero takes no memory: a text of
ten words takes 120 bytes, whether the vocabulary has a thousand terms or a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import DataError
from sparkmine.stats.matrix import matrix_of

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

FIELDS = ("size", "indices", "values")
TYPE = pa.struct(
    [
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.int32())),
        pa.field("values", pa.list_(pa.float64())),
    ]
)
# Of an entry in memory: a place of 4 bytes, a double.
ENTRY_BYTES = 12


def spark_type() -> StructType:
    """The type of a sparse column in Spark."""
    from pyspark.sql import types as t

    return t.StructType(
        [
            t.StructField("size", t.IntegerType()),
            t.StructField("indices", t.ArrayType(t.IntegerType())),
            t.StructField("values", t.ArrayType(t.DoubleType())),
        ]
    )


def is_sparse(kind: pa.DataType) -> bool:
    """Whether an Arrow type is that of a sparse column."""
    return pa.types.is_struct(kind) and tuple(field.name for field in kind) == FIELDS


def is_sparse_in_spark(kind: Any) -> bool:
    """The same of a type of Spark."""
    return tuple(getattr(kind, "names", ())) == FIELDS


def sparse_array(
    rows: npt.NDArray[Any],
    places: npt.NDArray[Any],
    values: npt.NDArray[Any],
    count: int,
    size: int,
) -> pa.StructArray:
    """A sparse column of `count` rows from entries, which are sorted by row and place."""
    ends = np.cumsum(np.bincount(rows, minlength=count))
    offsets = pa.array(np.concatenate(([0], ends)).astype(np.int32))
    children = [
        pa.array(np.full(count, size, np.int32)),
        pa.ListArray.from_arrays(offsets, pa.array(places.astype(np.int32))),
        pa.ListArray.from_arrays(offsets, pa.array(values.astype(np.float64))),
    ]
    return pa.StructArray.from_arrays(children, fields=list(TYPE))


@dataclass(frozen=True, eq=False, kw_only=True)
class SparseRows:
    """Rows of a block side by side.

    Attributes:
        matrix: scipy.sparse.csr_matrix [m, d] of the rows that have a finite value everywhere.
        usable: [n] which rows these are.
        invalid: Rows with null, NaN or infinite values, for each column.
    """

    matrix: Any
    usable: npt.NDArray[np.bool_]
    invalid: npt.NDArray[np.int64]


def sparse_rows(
    names: Sequence[str], widths: Sequence[int], arrays: Sequence[pa.Array], dtype: str = "float64"
) -> SparseRows:
    """Columns of numbers, lists of numbers and sparse vectors as one matrix.

    Args:
        widths: elements of each column.

    Raises:
        DataError: a column that holds no numbers, vectors of another length, or some whose indices
            and values do not belong together.
    """
    from scipy import sparse

    rows = len(arrays[0])
    bad = np.array([_missing(array).to_numpy(zero_copy_only=False) for array in arrays])
    known = ~bad.any(axis=0)
    parts = []
    for number, (name, width, array) in enumerate(zip(names, widths, arrays, strict=True)):
        part = _part(name, width, array.filter(pa.array(known)))
        finite = np.isfinite(part.data)
        if not finite.all():
            row_of = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
            bad[number, np.flatnonzero(known)[np.unique(row_of[~finite])]] = True
        parts.append(part)
    usable = ~bad.any(axis=0)
    matrix = sparse.hstack(parts, format="csr", dtype=dtype) if len(parts) > 1 else parts[0]
    assert len(usable) == rows
    if not usable[known].all():
        matrix = matrix[usable[known]]
    return SparseRows(matrix=matrix.astype(dtype), usable=usable, invalid=bad.sum(axis=1))


def width_of(name: str, array: pa.Array) -> int:
    """The length of the vectors of a sparse column; 0 where there is none.

    Raises:
        DataError: they have several lengths.
    """
    sizes = pc.unique(pc.drop_null(pc.struct_field(array, "size"))).to_pylist()
    if len(sizes) > 1:
        raise DataError(f"vectors in {name} have {min(sizes)} and {max(sizes)} elements")
    return int(sizes[0]) if sizes else 0


def _missing(array: pa.Array) -> pa.Array:
    """Which rows have no value; a vector is its size, its indices and its values together."""
    if not is_sparse(array.type):
        return pc.is_null(array)
    parts = [pc.is_null(pc.struct_field(array, field.name)) for field in TYPE]
    return reduce(pc.or_, parts)


def _part(name: str, width: int, array: pa.Array) -> Any:
    """One column, without nulls, as compressed rows [n, width]."""
    from scipy import sparse

    if not is_sparse(array.type):
        part = matrix_of([name], [array])
        if part.ragged is not None:
            raise part.ragged.error()
        (values,) = part.parts
        if len(values) and values.shape[1] != width:
            raise DataError(f"column {name!r} has {values.shape[1]} elements a row; not {width}")
        return sparse.csr_matrix(values.reshape(-1, width).astype(np.float64))
    found = width_of(name, array)
    if found not in (0, width):
        raise DataError(f"column {name!r} has {found} elements a row; the model has {width}")
    indices, values = pc.struct_field(array, "indices"), pc.struct_field(array, "values")
    lengths = pc.list_value_length(indices).to_numpy(zero_copy_only=False)
    uneven = lengths != pc.list_value_length(values).to_numpy(zero_copy_only=False)
    places = pc.list_flatten(indices).to_numpy(zero_copy_only=False)
    # SciPy checks neither, and would read memory that is not its own.
    outside = int(np.count_nonzero(~((places >= 0) & (places < width))))
    if uneven.any() or outside:
        raise DataError(
            f"vectors in {name}: {int(uneven.sum())} have not as many indices as values, and "
            f"{outside} indices are not from 0 to {width - 1}; operators with `sparse: true` make "
            "vectors that fit"
        )
    indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    entries = pc.list_flatten(values).to_numpy(zero_copy_only=False), places, indptr
    return sparse.csr_matrix(entries, shape=(len(array), width))
