"""Whether two frames hold the same rows: any order, doubles to 1e-9 relative, the rest identical.

One shuffle sums +1 and -1 by whole row; what does not cancel is all that is left to look at. Only
when it has doubles do Python workers see it: rows whose other columns are identical are paired if
all their doubles are close. Equal frames cost that one shuffle and no Python.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

RELATIVE = 1e-9
# Rows that one Python task pairs at a time, about.
BUCKET_ROWS = 20_000
_COUNT = "__count"
_BUCKET = "__bucket"


@dataclass(frozen=True)
class Difference:
    """How two frames differ.

    Attributes:
        columns: What is wrong with the columns; empty when names and types are the same.
        only_left, only_right: Rows of one side that have no equal on the other.
        examples: The first of them, as text: a row that has a near relation on the other side by
            the columns in which they differ, any other as a whole.
    """

    columns: str = ""
    only_left: int = 0
    only_right: int = 0
    examples: tuple[str, ...] = ()


def difference(
    left: DataFrame, right: DataFrame, names: tuple[str, str] = ("left", "right"), show: int = 3
) -> Difference | None:
    """How two frames differ; None when they hold the same rows, each as often.

    Args:
        names: What the examples call the two sides.
        show: Rows of each side among the examples.
    """
    columns = _columns(left, right, names)
    if columns:
        return Difference(columns=columns)
    rest = _uncancelled(left, right).persist()
    try:
        if rest.isEmpty():
            return None
        inexact = [f.name for f in left.schema.fields if _has_double(f.dataType)]
        if not inexact:
            return _described(rest, names, show)
        exact = [name for name in left.columns if name not in inexact]
        paired = _paired(rest, exact).persist()
        try:
            return _described(paired, names, show)
        finally:
            paired.unpersist()
    finally:
        rest.unpersist()


def _columns(left: DataFrame, right: DataFrame, names: tuple[str, str]) -> str:
    """What is wrong with the columns, or nothing. Whether they may be null does not count."""
    one = {f.name: f.dataType.simpleString() for f in left.schema.fields}
    other = {f.name: f.dataType.simpleString() for f in right.schema.fields}
    for name in [*one, *other]:
        if name not in other:
            return f"{names[1]} lacks the column {name!r}"
        if name not in one:
            return f"{names[1]} has a column more, {name!r}"
        if one[name] != other[name]:
            return f"column {name!r} is {one[name]} in {names[0]} and {other[name]} in {names[1]}"
    return ""


def _uncancelled(left: DataFrame, right: DataFrame) -> DataFrame:
    """The rows that one side has more often: positive counts for the left, negative the right."""
    from pyspark.sql import functions as F

    def counted(df: DataFrame, count: int) -> DataFrame:
        plain = [_plain(df, f.name, f.dataType).alias(f.name) for f in left.schema.fields]
        return df.select(*plain, F.lit(count).cast("long").alias(_COUNT))

    both = counted(left, 1).union(counted(right, -1))
    names = [f"`{name}`" for name in left.columns]
    return both.groupBy(*names).agg(F.sum(_COUNT).alias(_COUNT)).where(F.col(_COUNT) != 0)


def _plain(df: DataFrame, name: str, kind: DataType) -> Column:
    """A column in a type that Arrow carries: vectors of pyspark.ml as arrays."""
    from pyspark.sql.types import UserDefinedType

    if not isinstance(kind, UserDefinedType):
        return df[f"`{name}`"]
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(df[f"`{name}`"])


def _has_double(kind: DataType) -> bool:
    from pyspark.sql import types as t

    if isinstance(kind, t.ArrayType):
        return _has_double(kind.elementType)
    if isinstance(kind, t.MapType):
        return _has_double(kind.keyType) or _has_double(kind.valueType)
    if isinstance(kind, t.StructType):
        return any(_has_double(field.dataType) for field in kind.fields)
    return isinstance(kind, t.DoubleType | t.FloatType | t.UserDefinedType)


def _paired(rest: DataFrame, exact: list[str]) -> DataFrame:
    """What is left of the rows when those with close doubles are paired."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import MapType

    kinds = {field.name: field.dataType for field in rest.schema.fields}
    keys = [F.col(f"`{name}`") for name in exact if not isinstance(kinds[name], MapType)]
    buckets = rest.count() // BUCKET_ROWS + 1
    bucket = F.pmod(F.xxhash64(*keys), F.lit(buckets)) if keys else F.lit(0).cast("long")
    return (
        rest.withColumn(_BUCKET, bucket)
        .groupBy(_BUCKET)
        .applyInArrow(lambda table: _unpaired(table.drop_columns([_BUCKET])), rest.schema)
    )


def _unpaired(table: pa.Table) -> pa.Table:
    """Pair the rows of a table that has all rows of some values of the exact columns."""
    counts = table.column(_COUNT).to_pylist()
    rows = table.drop_columns([_COUNT]).to_pylist()
    groups: dict[Any, tuple[list[int], list[int]]] = {}
    doubles: list[list[float]] = []
    for index, row in enumerate(rows):
        found: list[float] = []
        key = _apart(row, found)
        doubles.append(found)
        groups.setdefault(key, ([], []))[counts[index] < 0].append(index)
    for left, right in groups.values():
        if left and right and doubles[left[0]]:
            _pair(left, right, doubles, counts)
    column = table.schema.get_field_index(_COUNT)
    left_over = table.set_column(column, table.schema.field(_COUNT), pa.array(counts, pa.int64()))
    return left_over.filter(pa.array([count != 0 for count in counts], pa.bool_()))


def _apart(value: Any, doubles: list[float]) -> Any:
    """The value with a mark in the place of each double, which goes to `doubles`."""
    if isinstance(value, float):
        doubles.append(value)
        return float
    if isinstance(value, dict):
        return tuple((name, _apart(inner, doubles)) for name, inner in value.items())
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        value = sorted(value, key=lambda entry: repr(entry[0]))  # a map, which has no order
    if isinstance(value, list | tuple):
        return tuple(_apart(inner, doubles) for inner in value)
    return value


def _pair(left: list[int], right: list[int], doubles: list[list[float]], counts: list[int]) -> None:
    """Cancel the counts of rows whose doubles are all close; neighbours by one double are tried."""
    places = range(len(doubles[left[0]]))
    # The double that tells most rows apart leaves the fewest neighbours.
    pivot = max(places, key=lambda place: len({doubles[index][place] for index in right}))

    def position(index: int) -> float:
        value = doubles[index][pivot]
        return math.inf if math.isnan(value) else value

    right = sorted(right, key=position)
    positions = [position(index) for index in right]
    for index in left:
        value = position(index)
        margin = 0.0 if math.isinf(value) else 2 * RELATIVE * abs(value)
        first = bisect.bisect_left(positions, value - margin)
        last = bisect.bisect_right(positions, value + margin)
        for other in right[first:last]:
            if counts[other] and _close(doubles[index], doubles[other]):
                taken = min(counts[index], -counts[other])
                counts[index] -= taken
                counts[other] += taken
                if not counts[index]:
                    break


def _close(left: list[float], right: list[float]) -> bool:
    return all(
        a == b or math.isclose(a, b, rel_tol=RELATIVE) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(left, right, strict=True)
    )


def _described(rest: DataFrame, names: tuple[str, str], show: int) -> Difference | None:
    from pyspark.sql import functions as F
    from pyspark.sql.types import AtomicType

    sums = rest.agg(
        F.sum(F.greatest(_COUNT, F.lit(0))).alias("left"),
        F.sum(F.greatest(-F.col(_COUNT), F.lit(0))).alias("right"),
    ).first()
    assert sums is not None
    if not sums["left"] and not sums["right"]:
        return None
    order = [
        F.col(f"`{field.name}`")
        for field in rest.schema.fields
        if isinstance(field.dataType, AtomicType) and field.name != _COUNT
    ]

    def first(condition: Column) -> list[dict[str, Any]]:
        found = rest.where(condition).orderBy(*order).limit(show).drop(_COUNT)
        return [row.asDict(recursive=True) for row in found.collect()]

    examples = _examples(first(F.col(_COUNT) > 0), first(F.col(_COUNT) < 0), names)
    return Difference("", sums["left"] or 0, sums["right"] or 0, tuple(examples))


def _examples(
    left: list[dict[str, Any]], right: list[dict[str, Any]], names: tuple[str, str]
) -> Iterator[str]:
    """Rows that agree in most columns are one row that differs; the others stand alone."""
    others = list(right)
    for row in left:
        other = max(others, key=lambda other: _agreeing(row, other), default=None)
        if other is None or 2 * _agreeing(row, other) < len(row):
            yield f"only in {names[0]}: {_text(row)}"
            continue
        others.remove(other)
        changed = {n: (row[n], other[n]) for n in row if not _equal(row[n], other[n])}
        same = [name for name in row if name not in changed][:3]
        where = _text({name: row[name] for name in same})
        what = ", ".join(
            f"{name} {_text(one)} in {names[0]}, {_text(two)} in {names[1]}"
            for name, (one, two) in list(changed.items())[:3]
        )
        yield f"{where}: {what}"
    for row in others:
        yield f"only in {names[1]}: {_text(row)}"


def _agreeing(row: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(_equal(row[name], other[name]) for name in row)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN is not itself


def _text(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."
