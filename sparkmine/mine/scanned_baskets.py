"""Baskets of a small snapshot, read from its files by the driver: no Spark job at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.mine.baskets import CodedBaskets, encode, merged, warn_of_nulls

if TYPE_CHECKING:
    from sparkmine.lake import Snapshot

# Of Parquet's uncompressed pages, and rows. A Spark job takes a second, whatever it reads.
BYTES = 1 << 28
ROWS = 1 << 24


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

    def rows(table: pa.Table) -> pa.Table:
        texts = table.column(1).cast(pa.string())
        return pa.table([table.column(0), texts, np.zeros(len(table), np.int32)], ["b", "i", "n"])

    batches = (b for table in scan.read_many(blocks) for b in rows(table).to_batches())
    pieces = list(encode(batches))
    warn_of_nulls(sum(piece.column("ignored")[0].as_py() for piece in pieces))
    return merged(pieces)
