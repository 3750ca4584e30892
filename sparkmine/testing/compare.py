"""Compare two results row by row."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

ROW = "__row"  # numbers the rows


class BrokenError(Exception):
    """What is wrong, inside the block of a promise."""


def same(left: pa.Table, right: pa.Table, one: str, other: str) -> None:
    """Compare two results row by row; `one` and `other` say how they were made.

    Raises:
        BrokenError: names the first difference.
    """
    for what, a, b in (
        ("columns are", left.schema.names, right.schema.names),
        ("number of rows is", left.num_rows, right.num_rows),
        ("types are", _types(left), _types(right)),
    ):
        if a != b:
            raise BrokenError(f"the {what} {a} {one} and {b} {other}")
    left, right = left.sort_by(ROW), right.sort_by(ROW)
    for name in left.schema.names:
        values = zip(left.column(name).to_pylist(), right.column(name).to_pylist(), strict=True)
        for row, (a, b) in enumerate(values):
            if not _close(a, b):
                raise BrokenError(f"{name!r} of row {row} is {a!r} {one} and {b!r} {other}")


def _types(table: pa.Table) -> list[str]:
    # Lists differ in the name of their elements and the width of their offsets only.
    return [
        f"list of {field.type.value_type}" if hasattr(field.type, "value_type") else str(field.type)
        for field in table.schema
    ]


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_close(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[name], b[name]) for name in a)
    if isinstance(a, float) and isinstance(b, float):
        both_nan = math.isnan(a) and math.isnan(b)
        return both_nan or a == b or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return bool(a == b)
