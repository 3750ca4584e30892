"""New documents find their clusters, and old clusters that they connect become one.

The clusters that new edges touch are nodes of a small graph, next to the texts. Its components are
clusters from now on: the least id of the old ones stays, or else the least of the new documents.
Done by Spark, or, of a small batch, in this process; the result is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup import known, pieces
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import components, label_frame, labels_of, stars
from sparkmine.dedup.flow import Cut, Held
from sparkmine.dedup.kept import Kept, MergedPieces
from sparkmine.dedup.known import Fresh, union
from sparkmine.dedup.near import Matching, clustered, compare
from sparkmine.dedup.pieces import uints
from sparkmine.dedup.sets import Ints, UInts
from sparkmine.dedup.small import Small
from sparkmine.dedup.tasks import edge_frame
from sparkmine.dedup.verified import Verified, by_spark
from sparkmine.dedup.verified import here as verified_here
from sparkmine.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Buckets of tables that may grow: tasks take ranges of them.
BUCKETS = 256
_KEPT = pieces.DOCUMENTS, pieces.SIGNED


@dataclass(frozen=True)
class Joined:
    """What an update writes.

    Attributes:
        rows: [id, key, cluster] of the new documents.
        pieces: To append to those kept.
        edges: To be released when that is written.
        clusters: So many of the new documents name one.
        merged: So many clusters became part of others.
        figures: Counts of the run.
        pairs: What is known of the pairs of new texts.
        gathered: Rows and pieces are in one partition each.
    """

    rows: DataFrame
    pieces: DataFrame
    edges: Held
    clusters: int
    merged: int
    figures: Mapping[str, int]
    pairs: Verified
    gathered: bool = False


def first(described: Cut, matching: Matching, kept: Kept) -> Joined:
    """Documents before which there were none."""
    edges, figures = compare(described, matching, BUCKETS)
    labels = label_frame(components(edges, BUCKETS)[0])
    rows = clustered(_rows(described, kept.id), labels, kept.id)
    rows, clusters = _counted(rows, kept.id)
    found = described.of(*_KEPT).union(edges.of(pieces.EDGES))
    pairs = by_spark(rows, edge_frame(edges), figures["edges"])
    return Joined(rows, found.frame, edges, clusters, 0, figures, pairs)


def spread(described: Cut, matching: Matching, kept: Kept) -> Joined:
    """Documents of a batch of any size, by Spark."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    fresh = Fresh.of(described)
    before = kept.known(fresh)
    edges, figures = compare(described, matching, BUCKETS, before)
    new = _rows(described, kept.id)
    # A text that was here before has edges from then.
    met, counts = cut(
        edge_frame(edges).select("a", "b").union(kept.edges(fresh.keys).frame), edges=F.count("*")
    )
    few = fresh.keys is not None and counts["edges"] <= known.MOST_HASHES
    texts = union(fresh.keys, *_ends(met.toArrow())) if few else None
    _check_new(kept.documents().join(new.select(kept.id), kept.id, "left_semi").first(), kept)
    old = (
        kept.renamed(cut(kept.reached(texts).frame)[0])
        .where("key is not null")
        .select("key", "cluster")
        .distinct()
    )
    least = F.min("key").over(Window.partitionBy("cluster"))
    same = old.select(F.col("key").alias("a"), least.alias("b")).where("a <> b")
    nothing = F.lit(None).cast(new.schema[kept.id].dataType)
    both = new.where("key is not null").withColumn("cluster", nothing)
    both = both.union(old.select(nothing.alias(kept.id), "key", "cluster"))
    root = Window.partitionBy(F.coalesce("root", "key"))
    name = F.coalesce(F.min("cluster").over(root), F.min(kept.id).over(root)).alias("to")
    labelled = both.join(labels_of(met.union(same), BUCKETS)[0], "key", "left")
    named, counts = cut(
        labelled.select(kept.id, "key", "cluster", name),
        moved=F.count_if(F.col("cluster") != F.col("to")),
    )
    rows = named.where(F.col(kept.id).isNotNull())
    rows = rows.select(kept.id, "key", F.col("to").alias("cluster"))
    alone = new.where("key is null").select(kept.id, "key", F.col(kept.id).alias("cluster"))
    written = described.of(*_KEPT).union(edges.of(pieces.EDGES))
    if before.dead is not None:
        written = written.union(before.returned(described))
    found, merged = written.frame, 0
    if counts["moved"]:
        moved = named.where("cluster <> to").select("cluster", F.col("to").alias("into")).distinct()
        merged = moved.count()
        again = moved.select(F.col("cluster").alias("into"), F.col("into").alias("next"))
        earlier = kept.merged().join(again, "into").select("cluster", F.col("next").alias("into"))
        merging = MergedPieces(kept.state["updates"] + 1)
        found = found.union(moved.union(earlier).mapInArrow(merging, pieces.SCHEMA))
    rows, clusters = _counted(rows.union(alone), kept.id)
    pairs = by_spark(rows, edge_frame(edges), figures["edges"], met)
    return Joined(rows, found, edges, clusters, merged, figures, pairs)


def _counted(rows: DataFrame, id: str) -> tuple[DataFrame, int]:
    """The rows, computed, and how many of them name a cluster."""
    from pyspark.sql import functions as F

    rows, counts = cut(rows, clusters=F.count_if(F.col(id) == F.col("cluster")))
    return rows, int(counts["clusters"])


def here(small: Small, matching: Matching, kept: Kept) -> Joined:
    """Documents of a small batch, in this process."""
    new, batch = small.rows, small.pieces
    fresh = Fresh.of(batch)
    assert fresh.keys is not None
    before = kept.known(fresh)
    edges, figures = compare(batch, matching, 1, before)
    # A text that was here before has edges from then.
    ends = _ends(kept.edges(fresh.keys).here())
    verified = [part[:2] for _, _, part in pieces.unpacked(edges.of(pieces.EDGES).here().batches)]
    a, b = (np.concatenate([old, *(p[i] for p in verified)]) for i, old in enumerate(ends))
    old = kept.reached(union(fresh.keys, a, b), new[0].combine_chunks()).here()
    _check_new_here(old, kept)
    merged = kept.merged_here() if kept.state["merged"] else None
    clusters = old["cluster"] if merged is None else _renamed(old["cluster"], merged)
    with_text = pc.is_valid(old["key"])
    keys, clusters = uints(old["key"].filter(with_text)), clusters.filter(with_text)
    named = Named.of(new, keys, clusters, a, b)
    rows = pa.table([*new.columns, named.rows], names=[*new.column_names, "cluster"])
    pairs = verified_here(rows, edges, (a, b))
    batches = [*batch.of(*_KEPT).batches, *edges.of(pieces.EDGES).here().batches]
    if before.dead is not None:
        batches += before.returned(batch).here().batches
    if len(named.moved):
        moved = named.moved
        if merged is not None:
            now = _renamed(merged["into"], moved)
            changed = pc.not_equal(now, merged["into"])
            earlier = pa.table([merged["cluster"], now], names=moved.column_names).filter(changed)
            moved = pa.concat_tables([moved, earlier.cast(moved.schema)])
        batches += MergedPieces(kept.state["updates"] + 1)(moved.combine_chunks().to_batches())
    spark = kept.lake.spark
    found = spark.createDataFrame(pa.Table.from_batches(batches, pieces.ARROW), pieces.SCHEMA)
    frame = spark.createDataFrame(rows, kept.schema)
    found, frame = found.coalesce(1), frame.coalesce(1)
    clusters = pc.sum(pc.equal(rows[0], rows["cluster"])).as_py() or 0
    return Joined(frame, found, edges, clusters, len(named.moved), figures, pairs, gathered=True)


@dataclass(frozen=True)
class Named:
    """Cluster of each new row, and [cluster, into] of old ones."""

    rows: pa.Array
    moved: pa.Table

    @classmethod
    def of(cls, new: pa.Table, keys: UInts, clusters: pa.ChunkedArray, a: UInts, b: UInts) -> Named:
        """From new rows [id, key], old texts and their clusters, and edges between texts."""
        ids = new[0].combine_chunks()
        values = pa.concat_arrays([clusters.combine_chunks().cast(ids.type), ids])
        order = pc.sort_indices(values).to_numpy()
        rank = _dense(values.take(order), order)
        old_rank, new_rank = rank[: len(keys)], rank[len(keys) :]
        # Texts of one cluster are one component, by an edge to its least text.
        least = np.full(len(values), np.iinfo(np.uint64).max)
        np.minimum.at(least, old_rank, keys)
        nodes, roots = stars(np.concatenate([a, keys]), np.concatenate([b, least[old_rank]]))
        with_text = pc.is_valid(new["key"]).to_numpy()
        new_keys = uints(pc.fill_null(new["key"], 0))
        every, place = np.unique(np.concatenate([keys, new_keys]), return_inverse=True)
        at = np.minimum(np.searchsorted(nodes, every), max(len(nodes) - 1, 0))
        linked = nodes[at] == every if len(nodes) else np.zeros(len(every), bool)
        root = every.copy()
        root[linked] = roots[at[linked]]
        _, component = np.unique(root, return_inverse=True)
        component = component[place]
        of_old, of_new = component[: len(keys)], component[len(keys) :]
        # Old names come before all new ones.
        name = np.full(component.max(initial=-1) + 1, 2 * len(values))
        np.minimum.at(name, of_old, old_rank)
        np.minimum.at(name, of_new[with_text], len(values) + new_rank[with_text])
        first_of = np.zeros(len(values), np.int64)
        first_of[rank] = np.arange(len(values))
        mine = np.where(with_text, name[of_new] % len(values), new_rank) if len(new) else new_rank
        to = name[of_old]
        gone = np.unique(np.stack([old_rank, to])[:, to != old_rank], axis=1)
        columns = [values.take(pa.array(first_of[part])) for part in gone]
        moved = pa.table(columns, names=["cluster", "into"])
        return cls(values.take(pa.array(first_of[mine])), moved)


def _dense(ascending: pa.Array, order: Ints) -> Ints:
    """The rank of each value, equal for equal ones; `order` sorts them."""
    rank = np.zeros(len(order), np.int64)
    if len(order):
        changes = pc.not_equal(ascending.slice(1), ascending.slice(0, len(order) - 1))
        rank[order[1:]] = np.cumsum(changes.to_numpy(zero_copy_only=False))
    return rank


def _renamed(clusters: pa.ChunkedArray, merged: pa.Table) -> pa.ChunkedArray:
    """What each cluster is part of now, by rows [cluster, into]."""
    place = pc.index_in(clusters, merged["cluster"].combine_chunks().cast(clusters.type))
    return pc.coalesce(merged["into"].combine_chunks().cast(clusters.type).take(place), clusters)


def _check_new_here(old: pa.Table, kept: Kept) -> None:
    there = old.filter(old["there"])[0]
    _check_new([there[0].as_py()] if len(there) else None, kept)


def _check_new(example: Any, kept: Kept) -> None:
    if example is not None:
        raise DataError(
            f"id {example[0]!r} is in the tables of {kept.name} already; delete it first, or "
            "leave it out"
        )


def _rows(described: Cut, id: str) -> DataFrame:
    return described.frame.where("kind is null").select(id, "key")


def _ends(edges: pa.Table) -> list[UInts]:
    return [uints(edges[name]) for name in ("a", "b")]
