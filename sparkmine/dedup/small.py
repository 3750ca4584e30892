"""A small batch of documents in this process, described without a Spark job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup import pieces
from sparkmine.dedup.documents import null_ids, repeated_ids
from sparkmine.dedup.exact import LETTERS
from sparkmine.dedup.flow import Cut, Here
from sparkmine.dedup.near import Matching
from sparkmine.dedup.tasks import Describe
from sparkmine.lake import Snapshot
from sparkmine.lake.scan import DirectScanRefused, Scan

# A document takes 25 microseconds of one core, and the start of a job with Python about a second.
MOST_ROWS = 50_000
_MOST_BYTES = 1 << 28
# Threads would wait for one another: most of the time is Python's.
_BATCH_ROWS = 1_000


@dataclass(frozen=True)
class Small:
    """What `near.describe` makes of documents, here.

    Attributes:
        rows: [id, key].
        pieces: Their sets and bands.
        texts: [id, text] of all documents, if they were read here.
    """

    rows: pa.Table
    pieces: Here
    texts: pa.Table | None = None

    @classmethod
    def of(cls, described: Cut, id: str) -> Small:
        """What Spark has described."""
        return cls._parted(described.frame.toArrow(), id)

    @classmethod
    def read(cls, snapshot: Snapshot, id: str, text: str, matching: Matching) -> Small | None:
        """The documents of a table; None if they are many, or only Spark may read them.

        Raises:
            DataError: ids that are null or repeated.
        """
        size = sum(file.size for file in snapshot.files)
        rows = [file.rows for file in snapshot.files]
        if None in rows or sum(n or 0 for n in rows) > MOST_ROWS or size > _MOST_BYTES:
            return None
        try:
            scan = Scan.of(snapshot, [id, text])
        except DirectScanRefused:
            return None
        read = [scan.read(block, threads=True) for block in scan.blocks()]
        table = pa.concat_tables([scan.schema.empty_table(), *read]).combine_chunks()
        ids = table[id]
        if ids.null_count:
            raise null_ids(id, ids.null_count)
        if pc.count_distinct(ids).as_py() < len(ids):
            counts = ids.value_counts()
            twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
            raise repeated_ids(id, len(twice), pc.min(twice).as_py())
        # Ids are all different, and need no hashes that tell so.
        table = table.append_column("hash", pa.array(np.arange(len(ids))))
        describe = Describe(matching.shingling, matching.banding, buckets=1, keep=True)
        found = list(describe(table.to_batches(_BATCH_ROWS)))
        none = pa.schema([("id", ids.type), ("key", pa.int64()), *pieces.ARROW])
        described = pa.Table.from_batches(found, none)
        described = described.rename_columns([id, *none.names[1:]])
        return replace(cls._parted(described, id), texts=table.select([id, text]))

    def beginnings(self, ids: Sequence[Any]) -> dict[Any, str]:
        """The beginnings of the texts of a few ids."""
        assert self.texts is not None
        some = self.texts.filter(pc.is_in(self.texts[0], pa.array(ids, self.texts[0].type)))
        begin = pc.utf8_slice_codeunits(some[1], 0, LETTERS)
        return dict(zip(some[0].to_pylist(), begin.to_pylist(), strict=True))

    def count(self, kind: int) -> int:
        """The sum of the numbers of a kind."""
        return self.pieces.count(kind)

    def release(self) -> None:
        """Give up the pieces."""
        self.pieces.release()

    @classmethod
    def _parted(cls, described: pa.Table, id: str) -> Small:
        row = pc.is_null(described["kind"])
        others = described.filter(pc.invert(row)).select(pieces.ARROW.names)
        return cls(described.filter(row).select([id, "key"]), Here(others.to_batches()))
