"""Samples of rows by what they hold: the same for any partitioning, also where many are equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A hash falls on one of so many places.
_PLACES = 1_000_000_007
# Equal rows that are numbered at once.
_NUMBERED = 1 << 16


def told_apart(df: DataFrame, names: Sequence[str], rows: int) -> DataFrame:
    """Some columns of the rows, and `_same`, by which equal rows differ; all 0 if few are equal.

    Samples are drawn by what rows hold. Where many are equal they would be drawn together, or none
    of them: such rows are counted, which is one shuffle of the few different ones, and numbered.
    """
    from pyspark.sql import functions as F

    columns = [F.col(f"`{name}`") for name in names]
    found = df.agg(F.approx_count_distinct(F.xxhash64(*columns))).first()
    if found is None or found[0] > rows / 2:
        return df.select(*columns, F.lit(0).cast("long").alias("_same"))
    counted = df.groupBy(*columns).agg(F.count("*").alias("_count"))
    # Number by number, some thousands at a time: a million equal rows are no array of a million.
    size, count = F.lit(_NUMBERED), F.col("_count")
    blocks = F.explode(F.sequence(F.lit(0).cast("long"), count - 1, size.cast("long")))
    counted = counted.select(*columns, count, blocks.alias("_begin"))
    last = F.least(F.col("_begin") + size, count) - 1
    return counted.select(*columns, F.explode(F.sequence("_begin", last)).alias("_same"))


def drawn(rows: DataFrame, share: float, hashed: Column) -> DataFrame:
    """About this share of the rows, by a hash of each."""
    from pyspark.sql import functions as F

    if share >= 1.0:
        return rows
    return rows.where(F.pmod(hashed, F.lit(_PLACES)) < F.lit(int(share * _PLACES)))
