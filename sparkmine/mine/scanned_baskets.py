"""Baskets of a small input, made by the driver: of a snapshot without any Spark job, of a DataFrame
by one that does nothing but bring the rows.

Rows that go through Python workers take longer than the whole mining of a few million rows. What a
DataFrame will hold is not known beforehand, and a join can make much of little, so the job itself
stops at a number of rows, and marks that there are more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.lake.inputs import need_columns
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.mine.baskets import CodedBaskets, comparable, encode, merged, warn_of_nulls

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkmine.lake import Snapshot

# Of Parquet's uncompressed pages, and rows. A Spark job takes a second, whatever it reads.
BYTES = 1 << 28
ROWS = 1 << 24
# What a DataFrame may read, and from how many partitions how many rows it may bring, with texts of
# at most so many bytes: the JVM holds them for a moment.
READ_BYTES = 1 << 28
PARTS = 4
PART_ROWS = 1 << 21
TEXT_BYTES = 64
MORE = "x" * (TEXT_BYTES + 1)  # the item of a row that says that there is more
# Further partitions bring less and less, those from this number on nothing.
MOST_PARTS = 1 << 10
# A row's number has its partition above these bits.
_PARTITION_BITS = 33


def scanned(snapshot: Snapshot, basket: str, item: str) -> CodedBaskets | None:
    """The baskets, or None when Spark must read them: the table is large, or of unusual types."""
    if not {basket, item} <= set(snapshot.schema.names):
        return None
    try:
        scan = Scan.of(snapshot, [basket, item])
    except DirectScanRefused:
        return None
    # Whose texts are the same in Arrow and in Spark.
    kind = scan.schema.field(item).type
    plain = pa.types.is_string(kind) or pa.types.is_integer(kind)
    if not plain or pa.types.is_nested(scan.schema.field(basket).type):
        return None
    blocks = scan.blocks()
    if sum(b.bytes for b in blocks) > BYTES or sum(b.rows for b in blocks) > ROWS:
        return None
    return _coded(scan.read_many(blocks))


def brought(df: DataFrame, basket: str, item: str) -> CodedBaskets | None:
    """The baskets of what `df` holds, or None when that is much, or may be."""
    from pyspark.sql import functions as F

    need_columns(df, [basket, item])
    if _bytes_read(df) > READ_BYTES:
        return None
    number = F.col("number")
    within = number.bitwiseAND(F.lit((1 << _PARTITION_BITS) - 1))
    part = F.shiftright(number, _PARTITION_BITS)
    numbered = df.select(
        comparable(df, basket).alias("basket"),
        F.col(item).cast("string").alias("item"),
        F.monotonically_increasing_id().alias("number"),
    )
    # Any of the partitions may be the one that has the rows, but behind the first few the n-th may
    # bring a share of 1/n. One row too many of a partition says that there are more.
    allowed = (
        F.when(part < PARTS, F.lit(PART_ROWS))
        .when(part < MOST_PARTS, F.floor(F.lit(PART_ROWS) / (part + 1)))
        .otherwise(F.lit(0))
    )
    more = within >= allowed
    for name, kind in numbered.dtypes:
        if kind == "string":
            more = more | F.coalesce(F.octet_length(name) > TEXT_BYTES, F.lit(False))
    # A third column would take Spark as long as the basket does; a text too long says it as well.
    marked = [
        F.when(~more, F.col("basket")).alias("basket"),
        F.when(more, F.lit(MORE)).otherwise(F.col("item")).alias("item"),
    ]
    table = numbered.where(within <= allowed).select(*marked).toArrow()
    long = pc.greater(pc.binary_length(table.column("item")), TEXT_BYTES)
    return None if pc.any(long).as_py() else _coded([table])


def _bytes_read(df: DataFrame) -> int:
    """What the tables and files behind `df` take; very much where that is not known."""
    leaves = df._jdf.queryExecution().optimizedPlan().collectLeaves()
    return sum(int(leaves.apply(i).stats().sizeInBytes()) for i in range(leaves.size()))


def _coded(tables: Iterable[pa.Table]) -> CodedBaskets:
    """The baskets of tables whose first columns are basket and item."""

    def batches() -> Iterator[pa.RecordBatch]:
        for table in tables:
            texts = table.column(1).cast(pa.string())
            bucket = np.zeros(len(table), np.int32)
            yield from pa.table([table.column(0), texts, bucket], ["b", "i", "n"]).to_batches()

    pieces = list(encode(batches()))
    warn_of_nulls(sum(piece.column("ignored")[0].as_py() for piece in pieces))
    return merged(pieces)
