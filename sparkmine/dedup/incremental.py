"""Clusters of near copies that are kept in tables (`kept.py`), and follow what comes and goes.

An update compares new texts with the old and among themselves. The clusters that its edges touch
are single nodes of a small graph, whose components are clusters that merge: the least id of the old
ones stays. A deletion computes the clusters anew that it takes documents from, from the edges kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from sparkmine.dedup import pieces
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import components
from sparkmine.dedup.documents import check_distinct, checked
from sparkmine.dedup.kept import Kept
from sparkmine.dedup.known import MOST_HASHES, Fresh, union
from sparkmine.dedup.near import EDGES, LABELS, Matching, clustered, compare, describe
from sparkmine.dedup.pieces import Cut, piece
from sparkmine.dedup.sets import UInts
from sparkmine.dedup.tasks import edge_rows, label_rows
from sparkmine.errors import ConfigError, DataError
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.inputs import as_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

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
        made = f"{self.matching.version}/threshold-{self.matching.threshold}"
        self._kept = Kept(lake, name, id, made)
        before = self._kept.state.get("made", made)
        if before != made:
            raise ConfigError(
                f"the tables of {name} were made with {before}, not {made}; "
                "use those parameters, or another name and all documents"
            )

    def clusters(self) -> DataFrame:
        """[id, cluster], one row for each document.

        Raises:
            TableMissingError: there was no update yet.
        """
        self._kept.refresh()
        return self._kept.members().select(self.id, "cluster")

    def update(self, df: DataFrame | Snapshot) -> Mapping[str, int]:
        """Add documents; returns the figures of the run.

        Raises:
            ConfigError, DataError: as for `near_duplicates`; ids that are there already.
        """
        from pyspark.sql import functions as F

        documents = checked(as_frame(df, self.lake.spark), self.id, self.text)
        with self.lake.locked(f"{self.name}/near", f"near copies of {self.name}"):
            self._kept.roll_back()
            described = describe(documents, self.id, self.matching, _BUCKETS, keep=True)
            state = self._kept.state
            fresh = Fresh.of(described) if state else None
            known = self._kept.known(fresh) if fresh else None
            edges, figures = compare(described, self.matching, _BUCKETS, known)
            if figures.pop("suspects"):
                check_distinct(documents, self.id)
            new = described.frame.where("kind is null").select(self.id, "key")
            named = self._joined(new, fresh, edges) if fresh else self._first(new, edges)
            one = F.col(self.id) == F.col("cluster")
            named, counts = cut(
                named, clusters=F.count_if(one), merged=F.count_if(F.col("into").isNotNull())
            )
            merged = named.where("into is not null").select("cluster", "into").distinct()
            found = described.of(pieces.DOCUMENTS, pieces.SIGNED).union(edges.of(pieces.EDGES))
            version = self._kept.append(found, self._flat(merged) if counts["merged"] else None)
            figures = {"rows": described.count(pieces.IDS), **figures}
            figures["new_clusters"] = int(counts["clusters"])
            self._kept.commit(
                named.where("into is null").select(self.id, "key", "cluster"),
                "append" if state else "overwrite",
                {
                    "pieces": version,
                    "updates": state.get("updates", 0) + 1,
                    "settled": state.get("settled", 0),
                    "merged": state.get("merged", 0) + int(counts["merged"]),
                    "deleted": state.get("deleted", False),
                    "figures": figures,
                },
            )
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
            self._kept.roll_back()
            members = self._kept.members()
            gone = ids.select(F.col(ids.columns[0]).alias(self.id)).distinct()
            touched = members.join(gone, self.id, "left_semi").select("cluster").distinct()
            left = members.join(gone, self.id, "left_anti")
            again = left.join(touched, "cluster", "left_semi").select(*members.columns)
            again, _ = cut(again)
            alive = again.where("key is not null").select("key").distinct()
            inner = _inside(self._kept.edges(), alive)
            clusters = clustered(again, _labels(inner), self.id)
            rows = left.join(touched, "cluster", "left_anti").select(*members.columns)
            state = {**self._kept.state, "settled": self._kept.state["updates"]}
            state |= {"merged": 0, "deleted": True}
            self._kept.commit(rows.union(clusters), "overwrite", state)

    def _first(self, new: DataFrame, edges: Cut) -> DataFrame:
        """As `_joined`, of rows before which there were none."""
        from pyspark.sql import functions as F

        labels = components(edges, _BUCKETS)[0].mapInArrow(label_rows, LABELS)
        rows = clustered(new, labels, self.id)
        return rows.withColumn("into", F.lit(None).cast(rows.schema[self.id].dataType))

    def _joined(self, new: DataFrame, fresh: Fresh, edges: Cut) -> DataFrame:
        """[id, key, cluster, into]: new rows; and old clusters that are part of others now."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        # A text that was here before has edges from then.
        verified = edges.of(pieces.EDGES).mapInArrow(edge_rows, EDGES).select("a", "b")
        met, _ = cut(verified.union(self._kept.edges(fresh.keys)))
        old, counts = cut(
            self._kept.reached(_with(fresh.keys, met), fresh), there=F.count_if("there")
        )
        if fresh.ids is None or counts["there"]:
            self._check_new(new)
        old = old.where("not there").select("key", "cluster").distinct()
        if self._kept.state["deleted"]:
            texts = old.select("key").union(new.select("key")).where("key is not null")
            met = _inside(met, texts.distinct())
        least = F.min("key").over(Window.partitionBy("cluster"))
        same = old.select(F.col("key").alias("a"), least.alias("b")).where("a <> b")
        labels = _labels(met.union(same))
        kind = new.schema[self.id].dataType
        nothing = F.lit(None).cast(kind)
        both = new.where("key is not null").withColumn("cluster", nothing)
        both = both.union(old.select(nothing.alias(self.id), "key", "cluster"))
        root = Window.partitionBy(F.coalesce("root", "key"))
        name = F.coalesce(F.min("cluster").over(root), F.min(self.id).over(root))
        named = both.join(labels, "key", "left").select(self.id, "key", "cluster", name.alias("to"))
        rows = named.where(F.col(self.id).isNotNull())
        rows = rows.select(self.id, "key", F.col("to").alias("cluster"), nothing.alias("into"))
        alone = new.where("key is null")
        alone = alone.select(self.id, "key", F.col(self.id).alias("cluster"), nothing.alias("into"))
        moved = named.where("cluster <> to").select(
            self.id, "key", "cluster", F.col("to").alias("into")
        )
        return rows.union(alone).union(moved)

    def _flat(self, merged: DataFrame) -> DataFrame:
        """[cluster, into]: these, and earlier ones that became part of them."""
        from pyspark.sql import functions as F

        next_ = merged.select(F.col("cluster").alias("into"), F.col("into").alias("next"))
        before = self._kept.merged().join(next_, "into")
        return merged.union(before.select("cluster", F.col("next").alias("into")))

    def _check_new(self, new: DataFrame) -> None:
        both = self._kept.documents().join(new.select(self.id), self.id, "left_semi")
        example = both.first()
        if example is not None:
            raise DataError(
                f"id {example[self.id]!r} is in the tables of {self.name} already; delete it "
                "first, or leave it out"
            )


def _with(texts: UInts | None, edges: DataFrame) -> UInts | None:
    """The texts and the ends of rows [a, b], which are a cut; None if they are too many."""
    if texts is None or edges.count() > MOST_HASHES:
        return None
    ends = edges.toArrow()
    return union(texts, *(end.to_numpy().view(np.uint64) for end in ends.columns))


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
