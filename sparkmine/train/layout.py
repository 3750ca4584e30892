"""From Arrow columns to the matrix that a network reads.

A batch is one float32 matrix [rows, width], whatever its columns are: images and sequences stand
in it flat, index columns as whole numbers (exact in float32 up to 2^24), and behind an array that
was padded stands its true length. The network cuts out of it what it needs, so the way from disk
to network stays one block of memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql.types import DataType, StructType

# Half a megabyte of float32.
_CACHED_NUMBERS = 1 << 17


@dataclass(frozen=True)
class Feature:
    """One column among the features, and the numbers it gives.

    Attributes:
        length: Numbers of its arrays; None for a scalar.
        padded: Whether shorter arrays are filled up with zeros to `length`; then one more number,
            the true length, stands behind them.
        cardinality: For an index column, which holds whole numbers from 0 to below it.
    """

    name: str
    length: int | None = None
    padded: bool = False
    cardinality: int | None = None

    @property
    def values(self) -> int:
        """How many numbers it gives, without the length of padded arrays."""
        return 1 if self.length is None else self.length

    @property
    def width(self) -> int:
        """How many columns of the matrix it takes."""
        return self.values + self.padded


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns make a batch: the features in their order, the labels, the weight of a row."""

    columns: tuple[Feature, ...]
    labels: tuple[str, ...] = ()
    weight: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the feature columns."""
        return tuple(column.name for column in self.columns)

    @property
    def width(self) -> int:
        """Columns of the feature matrix."""
        return sum(column.width for column in self.columns)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row with its labels and weight, as float32."""
        return 4 * (self.width + len(self.labels) + (self.weight is not None))

    @property
    def placed(self) -> list[tuple[Feature, int]]:
        """The features, each with the first of its columns in the matrix."""
        starts = np.cumsum([0, *(column.width for column in self.columns)]).tolist()
        return list(zip(self.columns, starts, strict=False))

    def matrix(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the features of `table` as float32 [rows, width]; missing values are NaN.

        Raises:
            DataError: arrays of a length that does not fit, an index outside its cardinality.
        """
        filled = np.empty((table.num_rows, self.width), dtype=np.float32)
        self.fill(filled, table)
        return filled

    def fill(self, filled: NDArray[np.float32], table: pa.Table | pa.RecordBatch) -> None:
        """Write what `matrix` returns into `filled`, float32 [rows, width]."""
        scalars: dict[int, NDArray[Any]] = {}
        for feature, start in self.placed:
            array = _combined(table.column(feature.name))
            values = filled[:, start : start + feature.values]
            if feature.length is not None and not is_list(array.type):
                raise DataError(f"feature {feature.name}: needs arrays, found {array.type}")
            if feature.padded:
                values[:], filled[:, start + feature.values] = _padded(array, feature)
            elif is_list(array.type):
                values[:] = _vectors(array, feature)
            else:
                scalars[start] = _numbers(array)
        _fill_columns(filled, scalars)
        for feature, start in self.placed:
            if feature.cardinality is not None:
                _check_indices(filled[:, start : start + feature.values], feature)
        self._check_steps(filled)

    def targets(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return labels and, where there is one, weight as float32 [rows, labels + weight]."""
        names = self.labels if self.weight is None else (*self.labels, self.weight)
        filled = np.empty((table.num_rows, len(names)), dtype=np.float32)
        for number, name in enumerate(names):
            filled[:, number] = _scalars(_combined(table.column(name)))
        return filled

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Restore a layout from `to_json`."""
        return cls(
            columns=tuple(Feature(**column) for column in stored["columns"]),
            labels=tuple(stored["labels"]),
            weight=stored["weight"],
        )

    def _check_steps(self, filled: NDArray[np.float32]) -> None:
        """Padded arrays are the channels of one sequence: in a row they have one length."""
        padded = [
            (one.name, filled[:, start + one.values]) for one, start in self.placed if one.padded
        ]
        for name, lengths in padded[1:]:
            first, expected = padded[0]
            # A null array has the length NaN, and is no difference.
            differ = int((np.abs(lengths - expected) > 0).sum())
            if differ:
                raise DataError(
                    f"features {first} and {name}: their arrays differ in length in {differ} rows; "
                    "the arrays of a row are the channels of one sequence"
                )


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


def check_columns(
    schema: StructType,
    features: Sequence[str],
    labels: Sequence[str] = (),
    weight: str | None = None,
) -> None:
    """Check that the columns exist and are numbers, booleans or (features) arrays of numbers.

    Raises:
        ConfigError: a column is missing, named twice, of another type, or in two roles.
    """
    if not features:
        raise ConfigError("features is empty: name at least one column")
    for role, names in (("features", features), ("labels", labels)):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        if twice:
            raise ConfigError(f"{role} named twice: {', '.join(twice)}")
    for label in labels:
        if label in features:
            raise ConfigError(f"the label {label} is also a feature; remove it from features")
    if weight is not None and weight in (*features, *labels):
        raise ConfigError(f"the weight {weight} is also a feature or label; copy the column")
    scalars = {**dict.fromkeys(labels, "label"), **({weight: "weight"} if weight else {})}
    present = {field.name: field.dataType for field in schema.fields}
    missing = [name for name in (*features, *scalars) if name not in present]
    if missing:
        raise ConfigError(
            f"columns missing: {', '.join(missing)}; the data has {', '.join(sorted(present))}"
        )
    wrong = [f"{n} ({present[n].simpleString()})" for n in features if not _numeric(present[n])]
    if wrong:
        raise ConfigError(
            f"features that are not numbers: {', '.join(wrong)}; encode them in the recipe"
        )
    for name, role in scalars.items():
        if not _number(present[name]):
            classes = ", classes as 0 to classes-1" if role == "label" else ""
            raise ConfigError(
                f"{role} {name} is {present[name].simpleString()}; it must be a number or boolean"
                f"{classes}"
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


def _numbers(array: pa.Array) -> NDArray[Any]:
    """Return the values as they are where NumPy can look at them, else as float32."""
    plain = pa.types.is_floating(array.type) or pa.types.is_integer(array.type)
    if plain and not array.null_count:
        numbers: NDArray[Any] = array.to_numpy()
        return numbers
    return _scalars(array)


def _fill_columns(filled: NDArray[np.float32], columns: dict[int, NDArray[Any]]) -> None:
    """Write `columns` into `filled` [rows, width], each at its position.

    Block by block, each small enough for a core's cache: converted column by column, and then
    turned. That is several times faster than writing columns into rows.
    """
    runs: list[list[int]] = []
    for position in sorted(columns):
        if runs and runs[-1][-1] == position - 1:
            runs[-1].append(position)
        else:
            runs.append([position])
    for run in runs:
        size = max(_CACHED_NUMBERS // len(run), 64)
        block = np.empty((len(run), min(size, len(filled))), np.float32)
        for start in range(0, len(filled), size):
            rows = min(size, len(filled) - start)
            for number, position in enumerate(run):
                block[number, :rows] = columns[position][start : start + rows]
            filled[start : start + rows, run[0] : run[-1] + 1] = block[:, :rows].T


def _scalars(array: pa.Array) -> NDArray[np.float32]:
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    # Cast before NumPy sees it: nulls in integers and booleans would become Python objects.
    floats = array.cast(pa.float32(), safe=False)
    return np.asarray(floats.to_numpy(zero_copy_only=False), dtype=np.float32)


def _vectors(array: pa.Array, feature: Feature) -> NDArray[np.float32]:
    width = feature.values
    lengths = pc.min_max(pc.list_value_length(array)).as_py()
    known = lengths["min"] is None and len(array) == 0
    if not known and (array.null_count or lengths["min"] != width or lengths["max"] != width):
        raise DataError(
            f"feature {feature.name}: needs arrays of {width} numbers, found {array.null_count} "
            f"null arrays and lengths from {lengths['min']} to {lengths['max']}"
        )
    return _scalars(array.flatten()).reshape(-1, width)


def _padded(array: pa.Array, feature: Feature) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return arrays filled up with zeros [rows, length], and their lengths [rows].

    A null array is NaN in both.
    """
    size = feature.values
    known = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), dtype=bool)
    counts = pc.fill_null(pc.list_value_length(array), 0)
    lengths = np.asarray(counts.to_numpy(zero_copy_only=False), dtype=np.int64)
    longest = int(lengths.max(initial=0))
    if longest > size:
        raise DataError(
            f"feature {feature.name}: an array has {longest} numbers, the network takes {size}; "
            "raise max_length, or cut the arrays before"
        )
    filled = np.zeros((len(lengths), size), dtype=np.float32)
    # Row by row, the first numbers of each: the order in which Arrow holds them.
    filled[np.arange(size) < lengths[:, None]] = _scalars(array.flatten())
    filled[~known] = np.nan
    return filled, np.where(known, lengths, np.nan).astype(np.float32)


def _check_indices(values: NDArray[np.float32], feature: Feature) -> None:
    assert feature.cardinality is not None
    inside = (values >= 0) & (values < feature.cardinality) & (values == np.floor(values))
    wrong = ~(inside | np.isnan(values))
    if wrong.any():
        raise DataError(
            f"feature {feature.name}: an index column needs whole numbers from 0 to "
            f"{feature.cardinality - 1}, found {int(wrong.sum())} others such as "
            f"{values[wrong][0]:g}; index it by the fit's recipe, or state its cardinality"
        )
