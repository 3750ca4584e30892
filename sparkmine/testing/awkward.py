"""Awkward columns: holes, no values, unseen categories."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HOLES = {"null": None, "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
CASES = (*HOLES, "no values", "no rows", "one row")
TITLES = {
    "null": "nulls",
    "nan": "NaN in numbers",
    "inf": "infinities in numbers",
    "-inf": "negative infinities in numbers",
    "no values": "columns without values",
    "one row": "results of one row",
}
_UNSEEN = "never seen before"


def holed(column: pa.Array, hole: float | None) -> pa.Array:
    """Every fifth value is the hole, or null where the type has no NaN or infinities."""
    mask = pa.array(np.arange(len(column)) % 5 == 0)
    value = hole if pa.types.is_floating(column.type) else None
    return pc.if_else(mask, pa.scalar(value, column.type), column)


def unseen(column: pa.Array) -> pa.Array:
    if _is_text(column.type):
        return pa.array([_UNSEEN] * len(column), column.type)
    if pa.types.is_list(column.type) and _is_text(column.type.value_type):
        return pa.array([[_UNSEEN]] * len(column), column.type)
    return column


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
