"""The Delta tables in which clusters of near copies are kept, and their truth.

Two tables below one name. `pieces` has arrays (`pieces.py`) by kind: the sets and bands of texts,
the verified pairs, and which clusters became part of which other since `documents` was written. It
only grows, and stays true when a document goes, because it speaks of texts. `documents` has
[id, key, cluster, part]. A commit of it names the version of `pieces` that belongs to it: it is the
truth, and what a killed update left behind is taken back by the next one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup import pieces
from sparkmine.dedup.known import Among, Fresh, Known
from sparkmine.dedup.pieces import piece, unpacked
from sparkmine.dedup.sets import UInts
from sparkmine.dedup.stored import Stored
from sparkmine.errors import VersionError
from sparkmine.expr.nodes import Column, Compare, Literal
from sparkmine.lake import Lake, Snapshot, Table
from sparkmine.lake.log import Commit, standing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Columns of `documents` beside the id; what a document is a part of, such as a day, may be null.
ROWS, PART = ("key", "cluster"), "part"
# Merged clusters that every task gets, to name those of all documents.
_MOST_MERGED = 1_000_000


class Kept:
    """The tables below `name`, whose ids are called `id`, made as `made` says.

    Attributes:
        state: What the newest commit says: `made`, the version of `pieces`, the number of `updates`
            and of the one up to which `documents` has the clusters (`settled`), the rows of
            `merged`, whether documents were ever `deleted`. Empty before the first update.
        version: Of `documents`, which the state is of; None before the first update.
    """

    def __init__(
        self, lake: Lake, name: str, id: str, made: str, version: int | None = None
    ) -> None:
        self.lake, self.name, self.id, self.made = lake, name, id, made
        self._documents = lake.table(f"{name}/documents")
        self._table = lake.table(f"{name}/pieces")
        self.refresh(version)

    def refresh(self, version: int | None = None) -> None:
        """Read the state, the newest or that of a version of `documents`.

        Raises:
            VersionError: somebody else wrote the table.
        """
        for known in ("_written", "_snapshot"):
            self.__dict__.pop(known, None)
        self.version, commit = _newest(self._documents, version)
        if commit is not None and "near" not in (commit.metadata or {}):
            raise VersionError(
                f"table {self._documents.name}: version {commit.version} ({commit.operation}) was "
                "not written by an update; restore the table to the version before"
            )
        self.state: dict[str, Any] = dict((commit.metadata or {})["near"] if commit else {})

    def roll_back(self) -> None:
        """Read the state, and take back what was written beside it."""
        from delta.tables import DeltaTable

        self.refresh()
        _, newest = _newest(self._table)
        if newest is None:
            return
        delta = DeltaTable.forPath(self.lake.spark, self._table.path)
        if not self.state:  # the first update did not end
            delta.delete()
        elif newest.version != self.state["pieces"]:
            delta.restoreToVersion(self.state["pieces"])

    def documents(self) -> DataFrame:
        """[id, key, cluster, part] as they were written; see `members`."""
        return self._written.dataframe(self.lake.spark).select(self.id, *ROWS, PART)

    def members(self) -> DataFrame:
        """[id, key, cluster, part] as of now."""
        return self.renamed(self.documents())

    def of_part(self, part: str) -> DataFrame | None:
        """[id, key] of the documents of a part; None if there are none for sure."""
        if self.version is None:
            return None
        some = self._written.where(Compare("=", Column(PART), Literal(part)))
        return some.dataframe(self.lake.spark).select(self.id, "key") if some.files else None

    def reached(self, texts: UInts | None, ids: pa.Array | None = None) -> DataFrame:
        """[id, key, cluster, there] of the documents with one of these texts or ids.

        `cluster` is as it was written, and `there` tells those with one of the ids.
        """
        columns = (self.id, *ROWS)
        stored = Stored(self._written, self.lake.spark, columns)
        return stored.rows(_Reached(texts, ids), f"{self.schema}, there boolean")

    @property
    def schema(self) -> str:
        """Of rows [id, key, cluster]."""
        kinds = {f.name: f.dataType.simpleString() for f in self._written.schema.fields}
        return ", ".join(f"`{name}` {kinds[name]}" for name in (self.id, *ROWS))

    def renamed(self, rows: DataFrame) -> DataFrame:
        """The rows, with what their `cluster` is part of now."""
        from pyspark.sql import functions as F

        if not self.state["merged"]:
            return rows
        into = self.merged().withColumnRenamed("into", "_into")
        if self.few_merged:
            into = F.broadcast(into)
        joined = rows.join(into, "cluster", "left")
        now = F.coalesce("_into", "cluster").alias("cluster")
        return joined.select(*(now if name == "cluster" else name for name in rows.columns))

    @property
    def few_merged(self) -> bool:
        """Whether every task can have all of `merged`."""
        return bool(self.state["merged"] <= _MOST_MERGED)

    def merged(self) -> DataFrame:
        """[cluster, into]: the clusters of `documents` that are parts of others now."""
        from pyspark.sql import functions as F

        kind = self._written.schema[self.id].dataType.simpleString()
        rows = self._pieces(pieces.MERGED).rows(
            _merged_rows, f"cluster {kind}, into {kind}, number long"
        )
        since = rows.where(F.col("number") > self.state["settled"])
        return since.groupBy("cluster").agg(F.max_by("into", "number").alias("into"))

    def edges(self, texts: UInts | None = None) -> DataFrame:
        """[a, b] of all updates so far, repeated where a pair was found twice.

        Args:
            texts: Only pairs with one of these.
        """
        return self._pieces(pieces.EDGES).rows(_EdgesAt(texts), "a long, b long")

    def known(self, fresh: Fresh) -> Known:
        """What an update compares new texts with."""
        signed, documents = (self._pieces(k) for k in (pieces.SIGNED, pieces.DOCUMENTS))
        return Known(signed, documents, signed.size, documents.size, fresh)

    def append(self, found: DataFrame) -> int:
        """Write pieces; returns the version that has them."""
        return self._table.write(found, "append", partition_by=["kind"]).version

    def commit(self, rows: DataFrame, mode: str, state: Mapping[str, Any]) -> None:
        """Write rows [id, key, cluster, part], and what else belongs to them."""
        self._documents.write(rows, mode, metadata={"near": {**state, "made": self.made}})
        self.refresh()

    @cached_property
    def _written(self) -> Snapshot:
        return self._documents.snapshot(self.version)

    @cached_property
    def _snapshot(self) -> Snapshot:
        version, commit = _newest(self._table)
        same = commit is not None and commit.version == self.state["pieces"]
        return self._table.snapshot(version if same else self.state["pieces"])

    def _pieces(self, kind: int) -> Stored:
        return Stored(self._snapshot.where(f"kind = {kind}"), self.lake.spark)


def _newest(table: Table, version: int | None = None) -> tuple[int | None, Commit | None]:
    """The newest version up to one, and the commit that its rows are of; None without a table."""
    commits = (c for c in table.commits() if version is None or c.version <= version)
    newest = next(commits, None)
    if newest is None:
        return None, None
    return newest.version, next(standing(itertools.chain([newest], commits)), None)


@dataclass(frozen=True)
class _EdgesAt:
    texts: UInts | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        among = Among(self.texts)
        for _, _, (a, b, _) in unpacked(batches):
            some = among.mask(a) | among.mask(b)
            ends = [pa.array(end[some].view(np.int64)) for end in (a, b)]
            yield pa.RecordBatch.from_arrays(ends, names=["a", "b"])


@dataclass(frozen=True)
class _Reached:
    texts: UInts | None
    ids: pa.Array | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        texts = Among(self.texts)
        for batch in batches:
            ids, keys, _ = batch.columns
            there = pa.repeat(False, batch.num_rows)
            if self.ids is not None:
                there = pc.is_in(ids, self.ids.cast(ids.type))
            with_text = keys.is_valid().to_numpy(zero_copy_only=False)
            values = keys.fill_null(0).to_numpy().view(np.uint64)
            mask = pc.or_(pa.array(texts.mask(values) & with_text), there)
            names = [*batch.schema.names, "there"]
            yield pa.RecordBatch.from_arrays([*batch.columns, there], names=names).filter(mask)


@dataclass(frozen=True)
class MergedPieces:
    """Rows [cluster, into] of update `number` as pieces."""

    number: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield piece(pieces.MERGED, batch.num_rows, (*batch.columns, self.number))


def _merged_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _, _, (cluster, into, number) in unpacked(batches):
        numbers = pa.repeat(number, len(cluster))
        names = ["cluster", "into", "number"]
        yield pa.RecordBatch.from_arrays([cluster, into, numbers], names=names)
