"""From Arrow columns to the matrix that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql.types import DataType, StructType


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns make the features, in which order, and how many numbers each gives."""

    features: tuple[str, ...]
    widths: tuple[int, ...]
    label: str | None = None

    @property
    def width(self) -> int:
        """Columns of the feature matrix."""
        return sum(self.widths)

    def matrix(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the features of `table` as float32 [rows, width]; missing values are NaN."""
        # Filled by columns, where every write is contiguous, and turned once at the end.
        columns = np.empty((self.width, table.num_rows), dtype=np.float32)
        start = 0
        for name, width in zip(self.features, self.widths, strict=True):
            array = _combined(table.column(name))
            if is_list(array.type):
                columns[start : start + width] = _vectors(array, name, width).T
            else:
                columns[start] = _scalars(array)
            start += width
        return np.ascontiguousarray(columns.T)

    def labels(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the label of `table` as float32 [rows]."""
        assert self.label is not None
        return _scalars(_combined(table.column(self.label)))


def is_list(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is one of the list types."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def list_width(table: pa.Table, name: str) -> int:
    """Return the length of the arrays in column `name`, which must all be equal.

    Raises:
        DataError: no rows, or arrays of different lengths.
    """
    lengths = pc.unique(pc.list_value_length(_combined(table.column(name)))).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise DataError(
            f"feature {name}: arrays have the lengths {sorted(map(str, lengths))[:5]}; "
            "a feature needs arrays of one length and no null arrays"
        )
    return int(lengths[0])


def check_columns(schema: StructType, features: tuple[str, ...], label: str | None) -> None:
    """Check that the columns exist and are numbers, booleans or (features) arrays of numbers.

    Raises:
        ConfigError: a column is missing, named twice, of another type, or the label is a feature.
    """
    if not features:
        raise ConfigError("features is empty: name at least one column")
    twice = sorted({name for name in features if features.count(name) > 1})
    if twice:
        raise ConfigError(f"features named twice: {', '.join(twice)}")
    if label in features:
        raise ConfigError(f"the label {label} is also a feature; remove it from features")
    wanted = features if label is None else (*features, label)
    present = {field.name: field.dataType for field in schema.fields}
    missing = [name for name in wanted if name not in present]
    if missing:
        raise ConfigError(
            f"columns missing: {', '.join(missing)}; the data has {', '.join(sorted(present))}"
        )
    wrong = [f"{n} ({present[n].simpleString()})" for n in features if not _numeric(present[n])]
    if wrong:
        raise ConfigError(
            f"features that are not numbers: {', '.join(wrong)}; encode them in the recipe"
        )
    if label is not None and not _number(present[label]):
        raise ConfigError(
            f"label {label} is {present[label].simpleString()}; it must be a number or boolean, "
            "classes as 0 to classes-1"
        )


def _numeric(kind: DataType) -> bool:
    from pyspark.sql.types import ArrayType

    return _number(kind.elementType if isinstance(kind, ArrayType) else kind)


def _number(kind: DataType) -> bool:
    from pyspark.sql.types import BooleanType, NumericType

    return isinstance(kind, (NumericType, BooleanType))


def _combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _scalars(array: pa.Array) -> NDArray[np.float32]:
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    # Cast before NumPy sees it: nulls in integers and booleans would become Python objects.
    floats = array.cast(pa.float32(), safe=False)
    return np.asarray(floats.to_numpy(zero_copy_only=False), dtype=np.float32)


def _vectors(array: pa.Array, name: str, width: int) -> NDArray[np.float32]:
    lengths = pc.min_max(pc.list_value_length(array)).as_py()
    known = lengths["min"] is None and len(array) == 0
    if not known and (array.null_count or lengths["min"] != width or lengths["max"] != width):
        raise DataError(
            f"feature {name}: needs arrays of {width} numbers, found {array.null_count} null "
            f"arrays and lengths from {lengths['min']} to {lengths['max']}"
        )
    return _scalars(array.flatten()).reshape(-1, width)
