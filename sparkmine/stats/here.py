"""A small scan, in the driver's own process.

A Spark job with Python workers takes half a second and more, whatever it reads. What one process
reads in that time is read here, by the same functions and with the same result as in tasks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby

from sparkmine.lake.scan import Block, Scan
from sparkmine.stats.task import Earlier, Row
from sparkmine.stats.work import Work

# Of Parquet's uncompressed pages, and values, of which a dictionary packs many into few bytes.
BYTES = 1 << 28
VALUES = 1 << 25
# Of earlier counts: their files are compressed.
COUNTS_BYTES = 1 << 25


def is_small(work: Work, blocks: Sequence[Block], earlier: Sequence[Row]) -> bool:
    """Whether the driver scans it about as quickly as a Spark job starts."""
    rows = sum(block.rows for block in blocks)
    counts = sum(row[3].file.stat().st_size for row in earlier if isinstance(row[3], Earlier))
    return (
        sum(block.bytes for block in blocks) <= BYTES
        and rows * len(work.columns) <= VALUES
        and counts <= COUNTS_BYTES
    )


def scanned(
    work: Work, scan: Scan, shares: Sequence[Sequence[Block]], earlier: Sequence[Row]
) -> list[Row]:
    """The rows that a Spark job would bring to the driver, one thread for a share of the blocks."""

    def states(part: int) -> list[Row]:
        return list(work.scan(scan.read_many(shares[part]), part))

    def reduced(rows: list[Row]) -> list[Row]:
        return list(work.reduce(rows))

    with ThreadPoolExecutor(threads()) as pool:
        rows = [*chain.from_iterable(pool.map(states, range(len(shares)))), *earlier]
        if not work.keyed:
            return rows
        rows.sort(key=_bucket)
        buckets = [list(group) for _, group in groupby(rows, _bucket)]
        return list(chain.from_iterable(pool.map(reduced, buckets)))


def threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _bucket(row: Row) -> int:
    return row[1]
