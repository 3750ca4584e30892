"""Columns of another table that are shown in place of features: what a recipe made them from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Where they are.

    Fields:
        table: has the keys; of rows with the same keys any one counts.
        columns: of the table, by the feature that they are shown for.
    """

    table: DataFrame
    keys: tuple[str, ...]
    columns: Mapping[str, str]

    def of(self, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        """The columns for rows that have the keys, by feature; null where there is no such row.

        Cost: one pass over the table; the keys go to it, and only their rows come back.
        """
        from pyspark.sql import functions as F

        spark = self.table.sparkSession
        wanted = spark.createDataFrame(rows.select(list(self.keys)))
        keys = [
            F.col(f"`{name}`").cast(wanted.schema[name].dataType).alias(f"_key_{place}")
            for place, name in enumerate(self.keys)
        ]
        names = list(dict.fromkeys(self.columns.values()))
        wanted = wanted.toDF(*(f"_key_{place}" for place in range(len(keys))))
        found = (
            self.table.select(*keys, *(F.col(f"`{name}`") for name in names))
            .join(F.broadcast(wanted), wanted.columns, "left_semi")
            .toArrow()
        )
        places: dict[tuple[object, ...], int] = {}
        for place, key in enumerate(_keys(found.select(wanted.columns))):
            places.setdefault(key, place)
        own = pa.array([places.get(key) for key in _keys(rows.select(list(self.keys)))], pa.int64())
        return {name: found.column(column).take(own) for name, column in self.columns.items()}

    def joined(self, rows: DataFrame) -> tuple[DataFrame, dict[str, str]]:
        """The rows with the columns beside their own, and what these are called, by feature."""
        from pyspark.sql import functions as F

        shown = {name: f"_value_of_{name}" for name in self.columns}
        table = self.table.select(
            *(F.col(f"`{name}`") for name in self.keys),
            *(F.col(f"`{self.columns[name]}`").alias(column) for name, column in shown.items()),
        )
        # Few rows are wanted, and one for each.
        keys = list(self.keys)
        table = table.join(rows.select(*keys), keys, "left_semi").dropDuplicates(keys)
        return rows.join(table, keys, "left"), shown


def _keys(table: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
