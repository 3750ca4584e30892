"""The finite values of an Arrow array and how many are missing: where most statistics start."""

from __future__ import annotations

import weakref
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
