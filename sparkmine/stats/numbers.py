"""The finite values of Arrow arrays and how many are missing: where most statistics start."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, eq=False)
class Numbers:
    """`finite` holds float64 values in row order; nulls, NaN and infinities are counted apart."""

    finite: np.ndarray
    nulls: int
    nans: int
    infinities: int


# Several statistics of one column ask for the same array: what was made of it lives as long as it.
_known: dict[int, tuple[weakref.ref[pa.Array], Numbers]] = {}


def numbers(array: pa.Array) -> Numbers:
    """The numbers of one array; made once for each array object."""
    known = _known.get(id(array))
    if known is not None and known[0]() is array:
        return known[1]
    made = _numbers(array)
    key = id(array)
    _known[key] = (weakref.ref(array, lambda _: _known.pop(key, None)), made)
    return made


@dataclass(frozen=True, eq=False)
class Columns:
    """The finite values of several columns, one behind the other.

    Attributes:
        first: The position of the first of them among the columns asked for.
        values: float64, all columns; column i is `values[starts[i]:starts[i + 1]]`.
        starts: int64 [columns + 1].
    """

    first: int
    parts: Sequence[Numbers]
    values: np.ndarray
    starts: np.ndarray


# Values that are worked on together: they stay in a core's cache. A column of more rows is alone.
_TOGETHER = 1 << 16


def together(arrays: Sequence[pa.Array]) -> Iterator[Columns]:
    """The numbers of arrays, a cacheful of columns at a time."""
    parts: list[Numbers] = []
    size = 0
    for index, array in enumerate(arrays):
        found = numbers(array)
        if parts and size + len(found.finite) > _TOGETHER:
            yield _columns(index - len(parts), parts)
            parts, size = [], 0
        parts.append(found)
        size += len(found.finite)
    if parts:
        yield _columns(len(arrays) - len(parts), parts)


def _columns(first: int, parts: Sequence[Numbers]) -> Columns:
    pieces = [part.finite for part in parts]
    values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    starts = np.cumsum([0, *map(len, pieces)])
    return Columns(first, parts, values, starts)


def finite_values(array: pa.Array) -> np.ndarray:
    """The finite values of a numeric array as float64."""
    return numbers(array).finite


def _numbers(array: pa.Array) -> Numbers:
    nulls = array.null_count
    valid = array.drop_null() if nulls else array
    if pa.types.is_floating(valid.type) or not pa.types.is_integer(valid.type):
        values = pc.cast(valid, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        finite = np.isfinite(values)
        if finite.all():
            return Numbers(values, nulls, 0, 0)
        nans = int(np.isnan(values).sum())
        return Numbers(values[finite], nulls, nans, int(len(values) - finite.sum()) - nans)
    return Numbers(valid.to_numpy(zero_copy_only=False).astype(np.float64), nulls, 0, 0)
