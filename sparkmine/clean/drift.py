"""Drift of a column against an earlier version of its table: the population stability index.

PSI = Σ (p - q) ln(p / q) over bins, where p is a bin's share of the new rows and q of the earlier
ones (S. Kullback's symmetric divergence; in credit scoring below 0.1 is called stable, above 0.25
shifted). Bins of numbers, dates and moments are tenths of the earlier rows, of other columns its 20
most frequent values and the rest; missing values are a bin of their own. A share below 0.0001
counts as that, so an empty bin is no infinity.

The earlier version is scanned twice, the columns in question alone: for the bins, and for their
counts. The new rows are counted in the first scan of the stage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.expr import Expr, Scalar, coalesce, col, function, lit, to_column, when
from sparkmine.stats import Counts, Request, Sketch, StatEngine

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession
    from pyspark.sql.types import DataType

    from sparkmine.lake import Snapshot

TENTHS, VALUES = 10, 20
SMALLEST_SHARE = 1e-4


@dataclass(frozen=True)
class Bins:
    """The bins of one column and the earlier rows in each.

    Attributes:
        number: The bin of a row, from 0; the last one is of missing values.
        counts: Earlier rows by bin.
    """

    column: str
    number: Expr
    counts: tuple[int, ...]

    def counted(self, rows: Column, typed: Mapping[str, Expr] | None = None) -> list[Column]:
        """For each bin, how many of the rows for which `rows` is true are in it.

        `typed` are columns as values of the type that the earlier version has.
        """
        from pyspark.sql import functions as F

        number = to_column(self.number.substitute(typed or {}))
        return [F.count_if(rows & (number == i)) for i in range(len(self.counts))]


def earlier_bins(
    snapshot: Snapshot, columns: Sequence[str], spark: SparkSession
) -> dict[str, Bins]:
    """The bins of `columns` by the rows of `snapshot`, in two scans of them."""
    from pyspark.sql import functions as F

    kinds = {name: snapshot.schema[name].dataType for name in columns}
    requests = [
        Request(Sketch(name), (_number(name, kind),))
        if _ordered(kind)
        else Request(Counts(name, top_k=VALUES), (col(name).cast("string"),))
        for name, kind in kinds.items()
    ]
    numbers: dict[str, tuple[Expr, int]] = {}
    answers = StatEngine(snapshot, spark).run(requests)
    for (name, kind), answer in zip(kinds.items(), answers, strict=True):
        if _ordered(kind):
            numbers[name] = _by_edges(_number(name, kind), answer.buckets(TENTHS))
        else:
            numbers[name] = _by_values(col(name), answer.keys.to_pylist())
    empty = {n: Bins(n, number, (0,) * size) for n, (number, size) in numbers.items()}
    counts = [
        count.alias(f"{place}_{i}")
        for place, bins in enumerate(empty.values())
        for i, count in enumerate(bins.counted(F.lit(True)))
    ]
    row = snapshot.dataframe(spark).agg(*counts).first()
    assert row is not None
    return {
        name: Bins(name, bins.number, tuple(row[f"{p}_{i}"] for i in range(len(bins.counts))))
        for p, (name, bins) in enumerate(empty.items())
    }


def psi(before: Sequence[int], after: Sequence[int]) -> float | None:
    """The population stability index of two counts by bin; None where one has no rows."""
    if not sum(before) or not sum(after):
        return None
    q = [max(count / sum(before), SMALLEST_SHARE) for count in before]
    p = [max(count / sum(after), SMALLEST_SHARE) for count in after]
    return sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))


def _ordered(kind: DataType) -> bool:
    from pyspark.sql import types as t

    return isinstance(kind, t.NumericType | t.DateType | t.TimestampType | t.TimestampNTZType)


def _number(name: str, kind: DataType) -> Expr:
    from pyspark.sql.types import NumericType

    return (
        col(name).cast("double")
        if isinstance(kind, NumericType)
        else function("seconds", col(name))
    )


def _by_edges(value: Expr, edges: list[float]) -> tuple[Expr, int]:
    missing = value.is_null() | value.is_nan()
    last = len(edges) + 1
    found = value.bucket(edges) if edges else coalesce(value * 0.0, 0.0)
    return when(missing, float(last)).otherwise(found), last + 1


def _by_values(value: Expr, values: list[Scalar]) -> tuple[Expr, int]:
    text = value.cast("string")
    size = len(values) + 2
    chain = when(value.is_null(), float(size - 1))
    for place, one in enumerate(values):
        chain = chain.when(text == one, float(place))
    return chain.otherwise(lit(float(size - 2))), size
