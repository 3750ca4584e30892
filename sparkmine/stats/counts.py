"""How often each value of a column occurs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import KeyedStat

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Counts(KeyedStat):
    """Counts of the values of one column, as strings; nulls are left out."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def update(self, state: dict[str, int], arrays: list[pa.Array]) -> dict[str, int]:
        counted = pc.value_counts(pc.cast(arrays[0].drop_null(), pa.string()))
        found = zip(
            counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True
        )
        return self.merge(state, dict(found))


@dataclass(frozen=True)
class KeyedCounts:
    """The answer to a keyed stat: a DataFrame [key, count] that stays on the executors."""

    frame: DataFrame

    def top(self, number: int | None = None, min_count: int = 1) -> list[tuple[str, int]]:
        """The most frequent keys and their counts, ties by key; only these are collected."""
        from pyspark.sql import functions as F

        found = self.frame.where(F.col("count") >= min_count)
        found = found.orderBy(F.col("count").desc(), F.col("key"))
        rows = (found if number is None else found.limit(number)).collect()
        return [(row["key"], row["count"]) for row in rows]
