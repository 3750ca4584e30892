"""Functions of the expression language, each with its Spark and its Arrow form side by side.

`Function` nodes name them. Null in any argument gives null; text that is no number or moment is
null. Moments are read in UTC. The older functions, whose rules differ one by one, are compiled in
`spark.py` and `arrow.py` themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.expr.murmur import murmur3


@dataclass(frozen=True)
class Definition:
    """One function.

    Attributes:
        takes: The type each argument is cast to; "" leaves it as it is. The last one repeats for
            functions of any number of arguments (`many`).
        spark: SQL text with {0}, {1}, ... for the arguments; {all} for all of them.
        arrow: From Arrow arrays of equal length to one of that length.
    """

    takes: tuple[str, ...]
    spark: str
    arrow: Callable[..., pa.Array]
    many: bool = False

    def casts(self, given: int) -> tuple[str, ...] | None:
        """The type for each of `given` arguments; None if it does not take so many."""
        if self.many and given >= len(self.takes):
            return self.takes + self.takes[-1:] * (given - len(self.takes))
        return self.takes if given == len(self.takes) else None


def _by_numpy(compute: Callable[..., np.ndarray]) -> Callable[..., pa.Array]:
    """A NumPy function over doubles, with nulls as Arrow has them."""

    def kernel(*arrays: pa.Array) -> pa.Array:
        null = np.zeros(len(arrays[0]), bool)
        for array in arrays:
            null |= pc.is_null(array).to_numpy(zero_copy_only=False)
        with np.errstate(all="ignore"):
            found = compute(*(array.to_numpy(zero_copy_only=False) for array in arrays))
        return pa.array(found, mask=null)

    return kernel


def _power(base: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    # C says 1 where the base is 1 or the exponent 0; Java says NaN for 1**NaN and (±1)**±Inf.
    undefined = np.isnan(exponent) | ((np.abs(base) == 1.0) & np.isinf(exponent))
    return np.where(undefined, np.nan, np.power(base, exponent))


def _finite(value: pa.Array) -> pa.Array:
    known = pc.fill_null(pc.is_finite(value), False)
    return pc.if_else(known, value, pa.scalar(None, pa.float64()))


def _positive_remainder(value: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    rest = np.fmod(value, divisor)
    return np.where(rest < 0, np.fmod(rest + divisor, divisor), rest)


def _modulo(value: pa.Array, divisor: pa.Array) -> pa.Array:
    zero = pc.equal(divisor, 0.0)
    none = pa.scalar(None, pa.float64())
    return _by_numpy(_positive_remainder)(value, pc.if_else(zero, none, divisor))


def _seconds(moments: pa.Array) -> pa.Array:
    return pc.divide(pc.cast(pc.cast(moments, pa.int64()), pa.float64(), safe=False), 1e6)


def _hash(strings: pa.Array) -> pa.Array:
    mask = pc.is_null(strings).to_numpy(zero_copy_only=False)
    return pa.array(murmur3(strings), pa.int32(), mask=mask)


def _concat(*strings: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*strings, "", null_handling="emit_null")


def _substring(strings: pa.Array, start: pa.Array, length: pa.Array) -> pa.Array:
    if not len(strings):
        return strings
    first, size = start[0].as_py(), length[0].as_py()  # the parser takes constants only
    return pc.utf8_slice_codeunits(strings, first - 1, first - 1 + size)


def _array_contains(lists: pa.Array, wanted: pa.Array) -> pa.Array:
    rows = pc.list_parent_indices(lists)
    elements = pc.list_flatten(lists)
    # As many distinct wanted values as rows at most; a constant is the usual case.
    equal = pc.fill_null(pc.equal(elements, pc.cast(wanted.take(rows), elements.type)), False)
    found = np.zeros(len(lists), bool)
    found[rows.filter(equal).to_numpy(zero_copy_only=False)] = True
    return pa.array(found, mask=pc.is_null(lists).to_numpy(zero_copy_only=False))


def _part(kernel: Callable[..., pa.Array]) -> Callable[..., pa.Array]:
    return lambda moments: pc.cast(kernel(moments), pa.int64())


def _of_moment(spark: str, kernel: Callable[..., pa.Array]) -> Definition:
    return Definition(("timestamp",), f"bigint({spark}({{0}}))", _part(kernel))


def list_of(arrays: list[pa.Array]) -> pa.Array:
    """One list<double> for each row, of the values of the arrays at it; nulls stay elements."""
    rows, size = len(arrays[0]), len(arrays)
    flat = pa.concat_arrays(arrays).take(
        pa.array(np.arange(rows * size).reshape(size, rows).T.ravel())
    )
    offsets = np.arange(0, rows * size + 1, size, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def concat_lists(*lists: pa.Array) -> pa.Array:
    """The lists of each row one after another; null where one of them is."""
    plain = [pc.cast(item, pa.list_(pa.float64())) for item in lists]
    rows = len(plain[0])
    null = np.zeros(rows, bool)
    for item in plain:
        null |= pc.is_null(item).to_numpy(zero_copy_only=False)
    lengths = [
        np.where(null, 0, pc.fill_null(pc.list_value_length(item), 0).to_numpy()) for item in plain
    ]
    offsets = np.concatenate(([0], np.cumsum(np.sum(lengths, axis=0))))
    order = np.zeros(int(offsets[-1]), np.int64)
    position, before = offsets[:-1].copy(), 0
    for item, length in zip(plain, lengths, strict=True):
        # Flattening keeps the values of valid lists, also of those in rows that become null.
        own = pc.fill_null(pc.list_value_length(item), 0).to_numpy()
        starts = before + np.cumsum(own) - own
        inside = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        order[np.repeat(position, length) + inside] = np.repeat(starts, length) + inside
        position += length
        before += int(own.sum())
    values = pa.concat_arrays([pc.list_flatten(item) for item in plain]).take(pa.array(order))
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), values, mask=pa.array(null) if null.any() else None
    )


DEFINITIONS: dict[str, Definition] = {
    "sin": Definition(("double",), "sin({0})", pc.sin),
    "cos": Definition(("double",), "cos({0})", pc.cos),
    "expm1": Definition(("double",), "expm1({0})", _by_numpy(np.expm1)),
    "pow": Definition(("double", "double"), "pow({0}, {1})", _by_numpy(_power)),
    "pmod": Definition(("double", "double"), "pmod({0}, nullif({1}, 0.0D))", _modulo),
    # The value, null where it is NaN or infinite. Spark computes what `nullif` compares only once.
    "finite": Definition(
        ("double",),
        "nullif(nullif(nullif({0}, double('NaN')), double('Infinity')), double('-Infinity'))",
        _finite,
    ),
    "year": _of_moment("year", pc.year),
    "quarter": _of_moment("quarter", pc.quarter),
    "month": _of_moment("month", pc.month),
    "day": _of_moment("day", pc.day),
    "weekday": _of_moment("weekday", pc.day_of_week),
    "day_of_year": _of_moment("dayofyear", pc.day_of_year),
    "hour": _of_moment("hour", pc.hour),
    "minute": _of_moment("minute", pc.minute),
    "seconds": Definition(
        ("timestamp",), "try_divide(double(unix_micros({0})), 1000000D)", _seconds
    ),
    "hash": Definition(("string",), "CASE WHEN isnotnull({0}) THEN hash({0}) END", _hash),
    "substr": Definition(
        ("string", "long", "long"), "substring({0}, int({1}), int({2}))", _substring
    ),
    "concat": Definition(("string",), "concat({all})", _concat, many=True),
    "array_contains": Definition(
        ("", ""),
        "CASE WHEN isnotnull({0}) THEN coalesce(array_contains({0}, {1}), false) END",
        _array_contains,
    ),
    "concat_arrays": Definition(("array",), "concat({all})", concat_lists, many=True),
}
