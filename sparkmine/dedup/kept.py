"""The Delta tables in which clusters of near copies are kept, and their truth.

Two tables below one name. `pieces` has arrays (`pieces.py`) by kind: the sets and bands of texts,
the verified pairs, and which clusters became part of which other since `documents` was written. It
only grows, and stays true when a document goes, because it speaks of texts. `documents` has
[id, key, cluster]. A commit of it names the version of `pieces` that belongs to it: it is the
truth, and what a killed update left behind is taken back by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkmine.dedup import pieces
from sparkmine.dedup.known import Among, Fresh, Known
from sparkmine.dedup.pieces import piece, unpacked
from sparkmine.dedup.sets import UInts
from sparkmine.dedup.stored import Stored
from sparkmine.lake import Lake, Snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Merged clusters that every task gets, to name those of all documents.
_MOST_MERGED = 1_000_000


class Kept:
    """The tables below `name`, whose ids are called `id`, made as `made` says.

    Attributes:
        state: What the newest commit says: `made`, the version of `pieces`, the number of `updates`
            and of the one up to which `documents` has the clusters (`settled`), the rows of
            `merged`, whether documents were ever `deleted`. Empty before the first update.
    """

    def __init__(self, lake: Lake, name: str, id: str, made: str) -> None:
        self.lake, self.name, self.id, self.made = lake, name, id, made
        self._documents = lake.table(f"{name}/documents")
        self._table = lake.table(f"{name}/pieces")
        self.refresh()

    def refresh(self) -> None:
        """Read the state."""
        for known in ("_written", "_snapshot"):
            self.__dict__.pop(known, None)
        commit = next(iter(self._documents.commits()), None)
        self._version = commit.version if commit else None
        self.state: dict[str, Any] = dict(
            (commit.metadata or {}).get("near") or {} if commit else {}
        )

    def roll_back(self) -> None:
        """Read the state, and take back what was written beside it."""
        from delta.tables import DeltaTable

        self.refresh()
        newest = next(iter(self._table.commits()), None)
        if newest is None:
            return
        delta = DeltaTable.forPath(self.lake.spark, self._table.path)
        if not self.state:  # the first update did not end
            delta.delete()
        elif newest.version != self.state["pieces"]:
            delta.restoreToVersion(self.state["pieces"])

    def documents(self) -> DataFrame:
        """[id, key, cluster] as they were written; see `members`."""
        return self._written.dataframe(self.lake.spark)

    def members(self) -> DataFrame:
        """[id, key, cluster] as of now."""
        return self.renamed(self.documents())

    def reached(self, texts: UInts | None, fresh: Fresh) -> DataFrame:
        """[id, key, cluster, there] of the documents with one of these texts or ids.

        `cluster` is as it was written, and `there` tells those whose id has the hash of a new one.
        """
        from pyspark.sql import functions as F

        documents = self.documents()
        schema = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in documents.schema)
        return documents.select(self.id, "key", "cluster", F.xxhash64(self.id)).mapInArrow(
            _Reached(texts, fresh.ids), f"{schema}, there boolean"
        )

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

        kind = self.documents().schema[self.id].dataType.simpleString()
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
        """Write rows [id, key, cluster], and what else belongs to them."""
        self._documents.write(rows, mode, metadata={"near": {**state, "made": self.made}})
        self.refresh()

    @cached_property
    def _written(self) -> Snapshot:
        return self._documents.snapshot(self._version)

    @cached_property
    def _snapshot(self) -> Snapshot:
        return self._table.snapshot(self.state["pieces"])

    def _pieces(self, kind: int) -> Stored:
        return Stored(self._snapshot.where(f"kind = {kind}"), self.lake.spark)


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
    ids: UInts | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        texts, ids = Among(self.texts), Among(self.ids)
        for batch in batches:
            keys, hashes = batch.column(1), batch.column(3).to_numpy().view(np.uint64)
            there = ids.mask(hashes)
            with_text = keys.is_valid().to_numpy(zero_copy_only=False)
            values = keys.fill_null(0).to_numpy().view(np.uint64)
            mask = pa.array((texts.mask(values) & with_text) | there)
            columns = [*batch.columns[:3], pa.array(there)]
            names = [*batch.schema.names[:3], "there"]
            yield pa.RecordBatch.from_arrays(columns, names=names).filter(mask)


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
