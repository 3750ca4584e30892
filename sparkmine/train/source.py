"""The rows of a fit as Parquet row groups that every rank can read.

They are read where they lie, or from a scratch table (`lake/scratch.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sparkmine.errors import DataError
from sparkmine.expr.columns import content
from sparkmine.lake import Snapshot
from sparkmine.lake.scan import Block, Scan
from sparkmine.lake.scratch import scannable
from sparkmine.train.layout import Feature, Layout, is_list, list_width

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
BlockOrFile = TypeVar("BlockOrFile", Block, str)

# Below this many row groups a Spark job costs more than reading them here.
_READ_ON_DRIVER = 16


@dataclass(frozen=True, kw_only=True)
class Source:
    """A scan, its blocks, and how many rows of each the predicate keeps.

    `identity` is the data version: what tells this data from other data, as JSON. `order_digest`
    tells the order of these rows from another one, where they were written for this fit: the same
    rows may be written in another order, or into other files, the next time.
    """

    scan: Scan
    blocks: tuple[Block, ...]
    rows: tuple[int, ...]
    identity: dict[str, Any]
    order_digest: str | None = None

    @property
    def total(self) -> int:
        """Rows after the predicate."""
        return sum(self.rows)


@contextlib.contextmanager
def opened(
    data: Snapshot | DataFrame,
    columns: tuple[str, ...],
    spark: SparkSession,
    *,
    scratch: str | None = None,
    digest: bool = False,
) -> Iterator[Source]:
    """Give `data` as a `Source` for as long as the context lasts.

    Args:
        scratch: Folder for a scratch table; all ranks must see it.
        digest: Whether the identity of a DataFrame must tell its content, and `order_digest` the
            order in a scratch table (two more passes).

    Raises:
        ConfigError: a scratch table is needed on a cluster and no folder is given.
    """
    with scannable(data, columns, spark, scratch) as snapshot:
        if isinstance(data, Snapshot):
            identity = version(data)
        else:
            identity = {"digest": digest_of(snapshot.dataframe(spark)) if digest else None}
        order = order_digest_of(snapshot, spark) if digest and snapshot is not data else None
        yield _source(spark, Scan.of(snapshot, columns), identity, order)


def version(snapshot: Snapshot) -> dict[str, Any]:
    """Return which rows of which table version a snapshot is, as JSON."""
    predicate = None if snapshot.predicate is None else snapshot.predicate.to_json()
    return {"path": snapshot.path, "version": snapshot.version, "where": predicate}


def first_files(*data: Snapshot | DataFrame | None) -> tuple[str, ...]:
    """Return a data file of every snapshot, by which a task tells whether it sees the table.

    One that the driver does not see is left out: that is another error.
    """
    first = [one.files[0].path for one in data if isinstance(one, Snapshot) and one.files]
    return tuple(path for path in first if Path(path).exists())


def layout(
    source: Source,
    features: Sequence[str],
    labels: Sequence[str],
    *,
    weight: str | None = None,
    max_length: int | None = None,
    cardinalities: Mapping[str, int] | None = None,
) -> Layout:
    """Return the layout of `source`.

    Args:
        max_length: Arrays are padded to it; None: all have one length, which is measured in the
            smallest block with rows.
        cardinalities: The index columns.
    """
    arrays = [name for name in features if is_list(source.scan.schema.field(name).type)]
    lengths = dict.fromkeys(arrays, max_length)
    if arrays and max_length is None:
        counts = [(rows, number) for number, rows in enumerate(source.rows) if rows]
        if not counts:
            raise DataError("there are no rows to train on")
        table = Scan.of(source.scan.snapshot, arrays).read(source.blocks[min(counts)[1]])
        lengths = {name: list_width(table, name) for name in arrays}
    columns = tuple(
        Feature(
            name,
            length=lengths.get(name),
            padded=name in lengths and max_length is not None,
            cardinality=(cardinalities or {}).get(name),
        )
        for name in features
    )
    return Layout(columns=columns, labels=tuple(labels), weight=weight)


def of_blocks(
    spark: SparkSession, blocks: Sequence[BlockOrFile], work: Callable[[BlockOrFile], T]
) -> list[T]:
    """Return `work` of every block or file, in their order; by Spark's tasks if they are many."""
    if len(blocks) <= _READ_ON_DRIVER:
        return [work(block) for block in blocks]
    context = spark.sparkContext
    slices = min(len(blocks), 4 * context.defaultParallelism)
    return context.parallelize(blocks, slices).map(work).collect()


def _source(spark: SparkSession, scan: Scan, identity: dict[str, Any], order: str | None) -> Source:
    blocks = tuple(scan.blocks())
    counts = iter(of_blocks(spark, [block for block in blocks if not block.exact], scan.count))
    rows = tuple(block.rows if block.exact else next(counts) for block in blocks)
    identity = {**identity, "rows": sum(rows)}
    return Source(scan=scan, blocks=blocks, rows=rows, identity=identity, order_digest=order)


def digest_of(frame: DataFrame) -> str:
    """Return a hash of the rows that does not depend on their order."""
    from pyspark.sql import functions as f

    # Decimal, because the sum of 64-bit hashes overflows, which is an error in ANSI mode.
    hashed = content(frame.columns).cast("decimal(20,0)")
    row = frame.agg(f.sum(hashed).cast("string"), f.count(f.lit(1))).collect()[0]
    return f"{row[0]}/{row[1]}"


def order_digest_of(snapshot: Snapshot, spark: SparkSession) -> str:
    """Return a hash of the data files, byte by byte, in the order in which they are read."""
    files = of_blocks(spark, [file.path for file in snapshot.files], _sha256)
    return hashlib.sha256("".join(files).encode()).hexdigest()


def _sha256(path: str) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
