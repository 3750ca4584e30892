"""The Delta table in which clusters of near copies are kept.

Its rows are of a `kind`, by which it is partitioned. Those of kind `ROW` are documents: [id, key,
cluster, part]. All others are arrays (`pieces.py`): the sets and bands of texts, the verified
pairs, and which clusters became part of which other since the documents' rows were written. Updates
append to them. When documents go, their rows and the pairs are written anew; sets and bands stay,
because they speak of texts, beside a list of the texts that are gone. An update is one commit,
whose metadata says what else belongs to it; what a killed one wrote is in no commit.
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
from sparkmine.dedup.pieces import Received, piece, unpacked
from sparkmine.dedup.sets import UInts
from sparkmine.dedup.stored import Rows, Stored
from sparkmine.errors import VersionError
from sparkmine.expr.nodes import Column, Compare, Literal
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.log import standing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Kinds of pieces start at 1.
ROW = 0
# Columns of a document's row beside the id; what it is a part of, such as a day, may be null.
ROWS, PART = ("key", "cluster"), "part"
# Merged clusters that every task gets, to name those of all documents.
_MOST_MERGED = 1_000_000


def table_of(name: str) -> str:
    """The table below `name`."""
    return f"{name}/clusters"


class Kept:
    """What is kept below `name` of documents whose ids are called `id`, made as `made` says.

    Attributes:
        state: What the newest commit says: `made`, the number of `updates` and of the one up to
            which documents have their clusters (`settled`), the rows of `merged`, how many texts
            are listed as gone (`dead`). Empty before the first update.
        version: Of the table, which the state is of; None before the first update.
    """

    def __init__(
        self, lake: Lake, name: str, id: str, made: str, version: int | None = None
    ) -> None:
        self.lake, self.name, self.id, self.made = lake, name, id, made
        self._table = lake.table(table_of(name))
        self.refresh(version)

    def refresh(self, version: int | None = None) -> None:
        """Read the state, the newest or that of a version.

        Raises:
            VersionError: somebody else wrote the table, or an earlier sparkmine.
        """
        self.__dict__.pop("_snapshot", None)
        commits = (c for c in self._table.commits() if version is None or c.version <= version)
        newest = next(commits, None)
        self.version, self.state = None, dict[str, Any]()
        if newest is None:
            self._check_layout()
            return
        commit = next(standing(itertools.chain([newest], commits)), None)
        if commit is not None and "near" not in (commit.metadata or {}):
            raise VersionError(
                f"table {self._table.name}: version {commit.version} ({commit.operation}) was "
                "not written by an update; restore the table to the version before"
            )
        self.version = newest.version
        self.state |= (commit.metadata or {})["near"] if commit else {}

    def _check_layout(self) -> None:
        if self.lake.table(f"{self.name}/pieces").exists():
            raise VersionError(
                f"{self.name} is of an earlier sparkmine, which kept other tables there; move that "
                "folder away, and add all documents again (a stage does so when its own table is "
                "moved away, too)"
            )

    def check_deletions(self) -> None:
        """Raise VersionError if an earlier sparkmine deleted documents, and did not list texts."""
        if self.state.get("deleted"):
            raise VersionError(
                f"{self.name} lost documents under an earlier sparkmine, which left pairs of the "
                "others out; move that folder away, and add all documents again (a stage does so "
                "when its own table is moved away, too)"
            )

    def forget(self) -> None:
        """What is added next is all that there will be."""
        self.version, self.state = None, {}

    def members(self) -> DataFrame:
        """[id, key, cluster, part] as of now."""
        return self.renamed(self.documents())

    def documents(self) -> DataFrame:
        """[id, key, cluster, part] as they were written."""
        rows = self._of(ROW).dataframe(self.lake.spark)
        return rows.select("id", *ROWS, PART).withColumnRenamed("id", self.id)

    def of_part(self, part: str) -> DataFrame | None:
        """[id, key] of the documents of a part; None if there are none for sure."""
        if self.version is None:
            return None
        some = self._of(ROW).where(Compare("=", Column(PART), Literal(part)))
        rows = some.dataframe(self.lake.spark).select("id", "key")
        return rows.withColumnRenamed("id", self.id) if some.files else None

    def reached(self, texts: UInts | None, ids: pa.Array | None = None) -> Rows:
        """[id, key, cluster, there] of the documents with one of these texts or ids.

        `cluster` is as it was written, and `there` tells those with one of the ids.
        """
        stored = Stored(self._of(ROW), self.lake.spark, ("id", *ROWS))
        return stored.rows(_Reached(self.id, texts, ids), f"{self.schema}, there boolean")

    @property
    def schema(self) -> str:
        """Of rows [id, key, cluster]."""
        kind = self._id_type
        return f"`{self.id}` {kind}, key bigint, cluster {kind}"

    @property
    def _id_type(self) -> str:
        return str(self._snapshot.schema["id"].dataType.simpleString())

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

        since = self._merges().frame.where(F.col("number") > self.state["settled"])
        return since.groupBy("cluster").agg(F.max_by("into", "number").alias("into"))

    def merged_here(self) -> pa.Table:
        """The same in this process; there are few."""
        rows = self._merges().here()
        since = rows.filter(pc.greater(rows["number"], self.state["settled"])).sort_by("number")
        # One thread keeps the order.
        last = since.group_by("cluster", use_threads=False).aggregate([("into", "last")])
        return last.select(["cluster", "into_last"]).rename_columns(["cluster", "into"])

    def _merges(self) -> Rows:
        kind = self._id_type
        schema = f"cluster {kind}, into {kind}, number long"
        return self._pieces(pieces.MERGED).rows(_merged_rows, schema)

    def edges(self, texts: UInts | None = None) -> Rows:
        """[a, b] of all updates so far, repeated where a pair was found twice.

        Args:
            texts: Only pairs with one of these.
        """
        return self.verified().rows(_EdgesAt(texts), "a long, b long")

    def verified(self) -> Stored:
        """Pieces of the same."""
        return self._pieces(pieces.EDGES)

    def known(self, fresh: Fresh) -> Known:
        """What an update compares new texts with."""
        signed, documents = (self._pieces(k) for k in (pieces.SIGNED, pieces.DOCUMENTS))
        return Known(signed, documents, signed.size, documents.size, fresh, self.dead())

    def dead(self) -> UInts | None:
        """Texts without a document whose bands are there, ascending; None if there are none."""
        if not self.state.get("dead"):
            return None
        stored = self._pieces(pieces.GONE, pieces.BACK).rows(_whole, pieces.SCHEMA)
        received = Received(stored.here().to_batches())
        (gone,) = received.take(pieces.GONE)
        if pieces.BACK in received:
            gone = np.setdiff1d(gone, *received.take(pieces.BACK))
        return gone if len(gone) else None

    def add(
        self, rows: DataFrame, found: DataFrame, state: Mapping[str, Any], *, gathered: bool
    ) -> None:
        """Write rows [id, key, cluster, part] and pieces beside what is there.

        Args:
            gathered: They are in few partitions, as they are to be in files.
        """
        both = self._plain(rows).unionByName(found, allowMissingColumns=True)
        if gathered and self.state:
            self._commit(both, state, mode="append")
        else:
            mode = "append" if self.state else "overwrite"
            self._commit(both, state, mode=mode, partition_by=["kind"])

    def replace(self, rows: DataFrame, found: DataFrame | None, state: Mapping[str, Any]) -> None:
        """Write rows [id, key, cluster, part] instead of those that are there.

        Args:
            found: Pieces of all edges, and of texts that are gone; None if they are as before.
        """
        both, where = self._plain(rows), f"kind = {ROW}"
        if found is not None:
            both = both.unionByName(found, allowMissingColumns=True)
            where = f"kind in ({ROW}, {pieces.EDGES}, {pieces.GONE}, {pieces.BACK})"
        how = {"mode": "replace_where", "partition_by": ["kind"], "replace_where": where}
        self._commit(both, state, **how)

    def empty(self, noted: Mapping[str, Any]) -> None:
        """Leave no document and no piece in a table that is there."""
        if not self._table.exists():
            return
        none = self._table.snapshot().dataframe(self.lake.spark).limit(0)
        state = {"updates": 0, "settled": 0, "merged": 0, "dead": 0, "figures": {}}
        self._commit(none, {**noted, **state}, mode="overwrite", partition_by=["kind"])

    def _plain(self, rows: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        return rows.select(F.lit(ROW).alias("kind"), F.col(self.id).alias("id"), *ROWS, F.col(PART))

    def _commit(self, rows: DataFrame, state: Mapping[str, Any], **how: Any) -> None:
        metadata = {"near": {**state, "made": self.made}}
        self._table.write(rows, metadata=metadata, **how)
        self.refresh()

    @cached_property
    def _snapshot(self) -> Snapshot:
        return self._table.snapshot(self.version)

    def _of(self, *kinds: int) -> Snapshot:
        return self._snapshot.where(f"kind in ({', '.join(map(str, kinds))})")

    def _pieces(self, *kinds: int) -> Stored:
        return Stored(self._of(*kinds), self.lake.spark)


def _whole(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


@dataclass(frozen=True)
class _EdgesAt:
    texts: UInts | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        among = Among(self.texts)
        for _, _, (a, b, _) in unpacked(batches):
            some = among.mask(a) | among.mask(b)
            ends = [pa.array(end[some].view("int64")) for end in (a, b)]
            yield pa.RecordBatch.from_arrays(ends, names=["a", "b"])


@dataclass(frozen=True)
class _Reached:
    id: str
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
            values = keys.fill_null(0).to_numpy().view("uint64")
            mask = pc.or_(pa.array(texts.mask(values) & with_text), there)
            names = [self.id, *ROWS, "there"]
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
