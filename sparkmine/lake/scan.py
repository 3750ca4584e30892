"""Read a snapshot's Parquet files straight into Arrow, without the way through JVM rows.

That direct path is an allow-list: what is not known to read the same as Spark's own reader is
refused with a reason, and the caller goes through Spark. A `Scan` is a plain value: executors
and training ranks use it without a Spark session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sparkmine.errors import RecipeError, SparkmineError, TableDamagedError
from sparkmine.expr import Expr, evaluate
from sparkmine.lake.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark import Accumulator
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

# Reader features that change nothing in how a data file is read.
_HARMLESS_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
# Of what `read_many` holds at once: a row group may be as large as a file.
BATCH_BYTES = 1 << 26


class DirectScanRefused(SparkmineError):
    """The snapshot must be read by Spark. `reason` says why."""

    code = "DIRECT_SCAN_REFUSED"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Block:
    """One Parquet row group.

    Attributes:
        rows: Rows in the file, before the predicate.
        bytes: Uncompressed bytes of the wanted columns in the file.
        exact: True when the predicate holds for every row of it.
    """

    path: str
    row_group: int
    rows: int
    bytes: int
    partition: tuple[tuple[str, Any], ...]
    exact: bool


@dataclass(frozen=True)
class Scan:
    """Some columns of a snapshot, ready to be read anywhere that sees its files."""

    snapshot: Snapshot
    schema: pa.Schema
    wanted: pa.Schema  # the schema and the columns that only the predicate reads

    @classmethod
    def of(cls, snapshot: Snapshot, columns: Sequence[str] | None = None) -> Scan:
        """Plan to read `columns` (all if None), in that order.

        Raises:
            DirectScanRefused: the snapshot is outside the allow-list.
            RecipeError: a column is not there.
        """
        from pyspark.sql.pandas.types import to_arrow_type

        schema = snapshot.schema
        names = list(schema.names if columns is None else columns)
        missing = [name for name in names if name not in schema.names]
        if missing:
            raise RecipeError(
                f"{snapshot.path} has no column {missing[0]!r}; it has {schema.names}"
            )
        if "://" in snapshot.path or any("://" in file.path for file in snapshot.files):
            raise DirectScanRefused("the files are not on a file system that every task mounts")
        unknown = sorted(snapshot.features - _HARMLESS_FEATURES)
        if unknown:
            raise DirectScanRefused(f"the table uses {', '.join(unknown)}")
        if any(file.deletion_vector for file in snapshot.files):
            raise DirectScanRefused("the table has deletion vectors")
        predicate = snapshot.predicate.columns if snapshot.predicate is not None else frozenset()
        for name in {*names, *predicate}:
            _check_type(name, schema[name].dataType)

        def arrow(wanted: list[str]) -> pa.Schema:
            types = [to_arrow_type(schema[name].dataType, timezone="UTC") for name in wanted]
            return pa.schema([pa.field(n, t) for n, t in zip(wanted, types, strict=True)])

        extra = [] if snapshot.whole_files else sorted(predicate - set(names))
        return cls(snapshot, arrow(names), arrow([*names, *extra]))

    def blocks(self) -> list[Block]:
        """Every row group of the snapshot's files, in file order; reads the files' footers."""
        whole = self.snapshot.whole_files
        wanted = set(self.schema.names if whole else self.wanted.names)
        found = []
        for file in self.snapshot.files:
            metadata = _open(file.path).metadata
            partition = tuple(sorted(file.partition.items()))
            for index in range(metadata.num_row_groups):
                group = metadata.row_group(index)
                size = _size(group, wanted)
                found.append(Block(file.path, index, group.num_rows, size, partition, whole))
        return found

    def read(self, block: Block, *, threads: bool = False) -> pa.Table:
        """The rows of one block for which the predicate is true, with the scan's columns.

        Args:
            threads: Whether Arrow's pool of threads decodes the columns.
        """
        # Mapped, which saves a copy; not so in `read_many`, whose file stays open.
        (table,) = self._read(_open(block.path, mapped=True), block, None, threads=threads)
        return table

    def read_many(
        self,
        blocks: Iterable[Block],
        read: Accumulator[int] | None = None,
        limit: int = BATCH_BYTES,
    ) -> Iterable[pa.Table]:
        """Read blocks one after the other, opening a file once for its neighbours.

        Args:
            read: Counts the rows that are read, before the predicate: scans are measured by it.
            limit: Uncompressed bytes of the wanted columns, by the footer; a block with more comes
                in several tables. Together they are the rows of `read`, in its order.
        """
        path, file = "", None
        for block in blocks:
            if read is not None:
                read.add(block.rows)
            if file is None or block.path != path:
                path, file = block.path, _open(block.path)
            yield from self._read(file, block, limit)

    def count(self, block: Block) -> int:
        """How many rows of a block the predicate keeps."""
        if block.exact or self.snapshot.predicate is None:
            return block.rows
        read = self.snapshot.predicate.columns
        fields = pa.schema([self.wanted.field(name) for name in self.wanted.names if name in read])
        return int(Scan(self.snapshot, fields, fields).read(block).num_rows)

    def _read(
        self, file: pq.ParquetFile, block: Block, limit: int | None, *, threads: bool = False
    ) -> Iterator[pa.Table]:
        """The rows of a block, in tables of at most `limit` bytes; in one if it is None."""
        predicate = None if block.exact else self.snapshot.predicate
        schema = self.schema if predicate is None else self.wanted
        for table in _fill(file, block, schema, limit, threads):
            kept = table if predicate is None else table.filter(_true(predicate, table))
            yield kept.select(self.schema.names)


def shared(blocks: list[Block], tasks: int) -> list[list[Block]]:
    """Split blocks into contiguous shares of about equal rows, one for each task slot."""
    total = sum(block.rows for block in blocks)
    wanted = max(total / max(tasks, 1), 1)
    shares: list[list[Block]] = []
    filled = wanted
    for block in blocks:
        if filled >= wanted:
            shares.append([])
            filled = 0
        shares[-1].append(block)
        filled += block.rows
    return shares


def by_tasks(
    spark: SparkSession,
    shares: Sequence[Sequence[Block]],
    work: Callable[[int, Sequence[Block]], Iterator[pa.RecordBatch]],
    schema: StructType | str,
) -> DataFrame:
    """What a task for each share makes of its number and its blocks; `work` travels to them."""

    def task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from work(number, shares[number])

    numbers = spark.range(0, len(shares), 1, max(len(shares), 1))
    return numbers.mapInArrow(task, schema)


def _true(predicate: Expr, table: pa.Table) -> pa.Array:
    return pc.fill_null(evaluate(predicate, table), False)


def _fill(
    file: pq.ParquetFile, block: Block, schema: pa.Schema, limit: int | None, threads: bool
) -> Iterator[pa.Table]:
    """Read what the file holds and add what it does not: partition values, later columns."""
    partition = dict(block.partition)
    present = set(file.schema_arrow.names)
    stored = [name for name in schema.names if name in present and name not in partition]
    for read in _stored(file, block, stored, limit, threads):
        columns = []
        for field in schema:
            if field.name in partition:
                columns.append(_constant(partition[field.name], field.type, read.num_rows))
            elif field.name in present:
                column = read.column(field.name)
                columns.append(column if column.type == field.type else column.cast(field.type))
            else:
                columns.append(pa.nulls(read.num_rows, field.type))
        yield pa.table(columns, schema=schema)


def _stored(
    file: pq.ParquetFile, block: Block, names: list[str], limit: int | None, threads: bool
) -> Iterator[pa.Table | pa.RecordBatch]:
    """The columns of a row group that the file holds, read at once or in batches."""
    rows = block.rows
    if limit is not None and block.bytes > limit:
        rows = max(limit * block.rows // block.bytes, 1)
    try:
        if rows >= block.rows:
            yield file.read_row_group(block.row_group, columns=names, use_threads=threads)
        else:
            yield from file.iter_batches(
                rows, row_groups=[block.row_group], columns=names, use_threads=threads
            )
    except (OSError, pa.ArrowException) as error:
        raise _damaged(block.path, error) from None


def _size(group: pq.RowGroupMetaData, wanted: set[str]) -> int:
    """The uncompressed bytes of some columns of a row group."""
    size = 0
    for index in range(group.num_columns):
        chunk = group.column(index)
        # A leaf of a nested column is `name.list.element` or the like.
        if wanted & set(accumulate(chunk.path_in_schema.split("."), "{}.{}".format)):
            size += chunk.total_uncompressed_size
    return size


def _constant(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    return pa.nulls(rows, kind) if value is None else pa.repeat(pa.scalar(value, kind), rows)


def _open(path: str, *, mapped: bool = False) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", memory_map=mapped)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None
    return file


def _damaged(path: str, error: Exception) -> TableDamagedError:
    missing = not Path(path).exists()
    reason = "is missing" if missing else f"cannot be read ({error})"
    return TableDamagedError(
        f"data file {path} {reason}; restore it, or RESTORE the table to an earlier version, or "
        "delete the table and run its stage again"
    )


def _check_type(name: str, kind: DataType) -> None:
    """Refuse types whose Arrow form is not known to carry the same values."""
    from pyspark.sql import types as t

    plain = (
        *(t.BooleanType, t.ByteType, t.ShortType, t.IntegerType, t.LongType, t.FloatType),
        *(t.DoubleType, t.StringType, t.BinaryType, t.DateType, t.TimestampType),
        *(t.TimestampNTZType, t.DecimalType),
    )
    if isinstance(kind, t.ArrayType):
        _check_type(name, kind.elementType)
    elif isinstance(kind, t.StructType):
        for field in kind.fields:
            _check_type(f"{name}.{field.name}", field.dataType)
    elif not isinstance(kind, plain):
        raise DirectScanRefused(f"column {name!r} has type {kind.simpleString()}")
