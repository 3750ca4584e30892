"""Clusters of near copies that are kept in Delta tables, and follow what is added and deleted.

Five tables below one name. `sets`, `bands` and `edges` hold pieces (`pieces.py`) by the hash of a
text: its shingles, its bands, its verified pairs. They only grow, and stay true when a document
goes, because they speak of texts. `documents` has [id, key, cluster]; `merged` says which clusters
became part of which other since. A commit of `documents` names the versions of the others that
belong to it: it is the truth, and what a killed update left behind is taken back by the next one.

An update compares new texts with the old and among themselves. The clusters that its edges touch
are single nodes of a small graph, whose components are clusters that merge: the least id of the old
ones stays. A deletion computes the clusters anew that it takes documents from, from the edges kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from sparkmine.dedup import pieces
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import components
from sparkmine.dedup.near import (
    EDGES,
    LABELS,
    Known,
    Matching,
    check_distinct,
    checked,
    clustered,
    compare,
    describe,
)
from sparkmine.dedup.pieces import Cut, piece
from sparkmine.dedup.tasks import edge_rows, label_rows
from sparkmine.errors import ConfigError, DataError
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.inputs import as_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

_SIDES = ("sets", "bands", "edges", "merged")
# Buckets of tables that may grow: tasks take ranges of them.
_BUCKETS = 256


class NearDuplicateTables:
    """Near copies among the documents of all updates so far.

    Args:
        lake: Where the tables are.
        name: Folder of the tables, such as `near/pages`.
        id, text, threshold, shingle, size, recall: As for `near_duplicates`. They are kept with
            the tables and cannot change.

    Raises:
        ConfigError: the tables were made with other parameters, or by another version of the
            hashing.
    """

    def __init__(
        self,
        lake: Lake,
        name: str,
        id: str = "id",
        text: str = "text",
        threshold: float = 0.7,
        *,
        shingle: Literal["word", "char"] = "word",
        size: int | None = None,
        recall: float = 0.99,
    ) -> None:
        self.lake, self.name, self.id, self.text = lake, name, id, text
        self.matching = Matching.of(threshold, shingle, size, recall)
        self._documents = lake.table(f"{name}/documents")
        self._made = f"{self.matching.version}/threshold-{self.matching.threshold}"
        state = self._state()
        if state and state["made"] != self._made:
            raise ConfigError(
                f"the tables of {name} were made with {state['made']}, not {self._made}; "
                "use those parameters, or another name and all documents"
            )

    def clusters(self) -> DataFrame:
        """[id, cluster], one row for each document.

        Raises:
            TableMissingError: there was no update yet.
        """
        return self._members().select(self.id, "cluster")

    def update(self, df: DataFrame | Snapshot) -> Mapping[str, int]:
        """Add documents; returns the figures of the run.

        Raises:
            ConfigError, DataError: as for `near_duplicates`; ids that are there already.
        """
        from pyspark.sql import functions as F

        documents = checked(as_frame(df, self.lake.spark), self.id, self.text)
        with self.lake.locked(f"{self.name}/near", f"near copies of {self.name}"):
            state = self._rolled_back()
            described = describe(documents, self.id, self.matching, _BUCKETS)
            self._check_new(described, documents)
            edges, figures = compare(described, self.matching, _BUCKETS, self._known())
            if figures.pop("suspects"):
                check_distinct(documents, self.id)
            rows, merged = self._joined(described, edges)
            rows, counts = cut(rows, clusters=F.count_if(F.col(self.id) == F.col("cluster")))
            versions = {
                "sets": self._append("sets", described.of(pieces.DOCUMENTS)),
                "bands": self._append("bands", described.of(pieces.BANDS)),
                "edges": self._append("edges", edges.of(pieces.EDGES)),
                "merged": self._write("merged", merged, "overwrite"),
            }
            figures = {"rows": described.count(pieces.IDS), **figures}
            figures["new_clusters"] = int(counts["clusters"])
            self._commit(rows, "append" if state else "overwrite", versions, figures)
            described.release()
            edges.release()
        logger.info("near duplicates of %s: %s", self.name, figures)
        return figures

    def delete(self, ids: DataFrame) -> None:
        """Remove documents and compute their clusters anew; ids that are unknown are ignored.

        Args:
            ids: Its first column has the ids.
        """
        from pyspark.sql import functions as F

        with self.lake.locked(f"{self.name}/near", f"near copies of {self.name}"):
            state = self._rolled_back()
            members = self._members()
            gone = ids.select(F.col(ids.columns[0]).alias(self.id)).distinct()
            touched = members.join(gone, self.id, "left_semi").select("cluster").distinct()
            left = members.join(gone, self.id, "left_anti")
            again = left.join(touched, "cluster", "left_semi").select(*members.columns)
            again, _ = cut(again)
            alive = again.where("key is not null").select("key").distinct()
            inner = _inside(self._edges(), alive)
            clusters = clustered(again, _labels(inner), self.id)
            rows = left.join(touched, "cluster", "left_anti").select(*members.columns)
            merged = self.lake.spark.createDataFrame([], self._merged_schema(members))
            versions = {**state["versions"], "merged": self._write("merged", merged, "overwrite")}
            self._commit(rows.union(clusters), "overwrite", versions, {})

    def _joined(self, described: Cut, edges: Cut) -> tuple[DataFrame, DataFrame]:
        """New rows [id, key, cluster], and all old clusters that are part of others now."""
        from pyspark.sql import functions as F

        new = described.frame.where("kind is null").select(self.id, "key")
        verified = edges.of(pieces.EDGES).mapInArrow(edge_rows, EDGES).select("a", "b")
        if not self._state():
            labels = components(edges, _BUCKETS)[0].mapInArrow(label_rows, LABELS)
            kept, _ = cut(clustered(new, labels, self.id))
            return kept, self.lake.spark.createDataFrame([], self._merged_schema(kept))
        members = self._members()
        fresh = new.where("key is not null").select("key").distinct()
        # A text that was here before, or is, has edges from then.
        known = self._edges().select("a", "b")
        again = known.join(fresh.withColumnRenamed("key", "a"), "a", "left_semi").union(
            known.join(fresh.withColumnRenamed("key", "b"), "b", "left_semi").select("a", "b")
        )
        reached, _ = cut(verified.union(again).distinct())
        ends = reached.select(F.col("a").alias("key")).union(reached.select("b")).union(fresh)
        old, _ = cut(
            members.join(ends.distinct(), "key", "left_semi").select("key", "cluster").distinct()
        )
        alive = old.select("key").union(fresh).distinct()
        least = old.groupBy("cluster").agg(F.min("key").alias("b"))
        same = old.join(least, "cluster").select(F.col("key").alias("a"), "b").where("a <> b")
        labels, _ = cut(_labels(_inside(reached, alive).union(same)))
        rooted_old = old.join(labels, "key", "left").withColumn("root", F.coalesce("root", "key"))
        stays = rooted_old.groupBy("root").agg(F.min("cluster").alias("stays"))
        merged_now = (
            rooted_old.select("cluster", "root")
            .distinct()
            .join(stays, "root")
            .where("cluster <> stays")
            .select("cluster", F.col("stays").alias("into"))
        )
        merged_before = self._table("merged")
        moved = merged_now.select(F.col("cluster").alias("into"), F.col("into").alias("next"))
        merged = (
            merged_before.join(moved, "into", "left")
            .select("cluster", F.coalesce("next", "into").alias("into"))
            .union(merged_now)
        )
        with_text = new.where("key is not null").join(labels, "key", "left")
        with_text = with_text.withColumn("root", F.coalesce("root", "key"))
        own = with_text.groupBy("root").agg(F.min(self.id).alias("own"))
        named = with_text.join(own, "root").join(stays, "root", "left")
        rows = named.select(self.id, "key", F.coalesce("stays", "own").alias("cluster"))
        alone = new.where("key is null").select(self.id, "key", F.col(self.id).alias("cluster"))
        return rows.union(alone), cut(merged)[0]

    def _check_new(self, described: Cut, documents: DataFrame) -> None:
        if not self._state():
            return
        new = described.frame.where("kind is null").select(self.id)
        both = self._table("documents").join(new, self.id, "left_semi")
        example = both.first()
        if example is not None:
            raise DataError(
                f"id {example[self.id]!r} is in the tables of {self.name} already; delete it "
                "first, or leave it out"
            )

    def _state(self) -> dict[str, Any]:
        """What the newest commit of `documents` says; empty without one."""
        commit = next(iter(self._documents.commits()), None)
        return dict((commit.metadata or {}).get("near") or {}) if commit else {}

    def _rolled_back(self) -> dict[str, Any]:
        """The state, after taking back what was written beside it."""
        from delta.tables import DeltaTable

        state = self._state()
        for side in _SIDES:
            table = self.lake.table(f"{self.name}/{side}")
            if not table.exists():
                continue
            delta = DeltaTable.forPath(self.lake.spark, table.path)
            wanted = state.get("versions", {}).get(side)
            if wanted is None:  # the first update did not end
                delta.delete()
            elif next(iter(table.commits())).version != wanted:
                delta.restoreToVersion(wanted)
        return state

    def _table(self, side: str) -> DataFrame:
        version = None if side == "documents" else self._state()["versions"][side]
        return self.lake.table(f"{self.name}/{side}").snapshot(version).dataframe(self.lake.spark)

    def _known(self) -> Known | None:
        from pyspark.sql import functions as F

        state = self._state()
        if not state:
            return None
        sides = {
            side: self.lake.table(f"{self.name}/{side}").snapshot(state["versions"][side])
            for side in ("bands", "sets")
        }
        size = {side: sum(file.size for file in found.files) for side, found in sides.items()}
        bands = sides["bands"].dataframe(self.lake.spark)
        bands = bands.withColumn("kind", F.lit(pieces.KNOWN_BANDS))
        sets = sides["sets"].dataframe(self.lake.spark)
        names = pieces.ARROW.names
        return Known(bands.select(*names), sets.select(*names), size["bands"], size["sets"])

    def _edges(self) -> DataFrame:
        """[a, b, similarity] of all updates so far, repeated where a pair was found twice."""
        return self._table("edges").select(*pieces.ARROW.names).mapInArrow(edge_rows, EDGES)

    def _members(self) -> DataFrame:
        """[id, key, cluster] as of now."""
        from pyspark.sql import functions as F

        documents = self._table("documents")
        into = self._table("merged").withColumnRenamed("into", "_into")
        rows = documents.join(F.broadcast(into), "cluster", "left")
        return rows.select(self.id, "key", F.coalesce("_into", "cluster").alias("cluster"))

    def _merged_schema(self, members: DataFrame) -> str:
        kind = members.schema[self.id].dataType.simpleString()
        return f"cluster {kind}, into {kind}"

    def _append(self, side: str, df: DataFrame) -> int:
        return self._write(side, df, "append")

    def _write(self, side: str, df: DataFrame, mode: str) -> int:
        return self.lake.table(f"{self.name}/{side}").write(df, mode).version

    def _commit(
        self, rows: DataFrame, mode: str, versions: Mapping[str, int], figures: Mapping[str, int]
    ) -> None:
        state = {"made": self._made, "versions": dict(versions), "figures": dict(figures)}
        self._documents.write(rows, mode, metadata={"near": state})


def _inside(edges: DataFrame, alive: DataFrame) -> DataFrame:
    """[a, b]: the edges between keys that are alive."""
    for end in ("a", "b"):
        edges = edges.join(alive.withColumnRenamed("key", end), end, "left_semi")
    return edges.select("a", "b")


def _labels(edges: DataFrame) -> DataFrame:
    """[key, root]: the components of rows [a, b]."""
    found, _ = components(
        Cut(edges.mapInArrow(_edge_pieces, pieces.SCHEMA), pieces.EDGES), _BUCKETS
    )
    return found.mapInArrow(label_rows, LABELS)


def _edge_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        a, b = (column.to_numpy().view(np.uint64) for column in batch.columns)
        yield piece(pieces.EDGES, len(a), (a, b))
