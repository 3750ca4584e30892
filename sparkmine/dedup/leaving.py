"""Documents go, and what is kept of the others is as if these had never been there.

A text whose last document goes is gone: its edges are taken out, and its bands are left out of
every bucket from then on. In a large bucket (`candidates.py`) it stood between texts that were not
compared because of it, or was the one that all others were compared with. So the texts of such
buckets are compared again, by the code that compares a batch. In a bucket of at most `WHOLE` texts
every pair was compared already. With that the edges that are kept are, at any time, all that a
search in the documents of that time would find; those more that they hold were found when other
texts were there.

That costs two looks at the bands that are kept, in the driver's process where they are few, one
pass over the edges, and a comparison only where a large bucket has lost a text. The clusters that
lost a document, and those that meet by edges which are new, are computed anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.dedup import known as knowing
from sparkmine.dedup import pieces
from sparkmine.dedup.candidates import WHOLE
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import labels_of
from sparkmine.dedup.flow import Cut, Held, Here, Pieces, Spread
from sparkmine.dedup.joining import BUCKETS
from sparkmine.dedup.kept import PART, Kept
from sparkmine.dedup.known import Among, BandsThatMeet, Fresh, Known
from sparkmine.dedup.near import Matching, clustered, compare
from sparkmine.dedup.pieces import Received, bucket_of, piece, routed, uints, unpacked
from sparkmine.dedup.sets import UInts
from sparkmine.dedup.tasks import edge_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

# Texts and their bands that the driver compares again: of about 10,000 texts.
_MOST_HERE = 1 << 18
_NONE = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class Left:
    """What a deletion writes in place of what was there.

    Attributes:
        rows: [id, key, cluster, part] of all documents.
        pieces: Edges, and texts that are gone; None if every text still has a document.
        dead: So many texts are gone.
    """

    rows: DataFrame
    pieces: DataFrame | None
    dead: int


def leave(ids: DataFrame, kept: Kept, matching: Matching) -> Left:
    """Documents go; the first column of `ids` has their ids."""
    from pyspark.sql import functions as F

    id, members = kept.id, kept.members()
    gone = ids.select(F.col(ids.columns[0]).alias("_gone_id")).distinct()
    marked = members.join(gone, F.col(id) == F.col("_gone_id"), "left")
    marked, _ = cut(marked.select(*members.columns, F.col("_gone_id").isNotNull().alias("_gone")))
    leaving, staying = (marked.where(rows).drop("_gone") for rows in ("_gone", "not _gone"))
    texts = staying.where("key is not null").select("key", "cluster").distinct()
    left = leaving.where("key is not null").select(F.col("key").alias("_key")).distinct()
    still = texts.join(left, F.col("key") == F.col("_key"), "left_semi").select("key").distinct()
    dead = np.setdiff1d(uints(left.toArrow()[0]), uints(still.toArrow()[0]))
    touched, edges, found = leaving.select("cluster"), kept.edges().frame, None
    before = kept.dead()
    if len(dead):
        again = compared_again(kept.known(Fresh(_NONE, _NONE)), dead, matching)
        more = None if again is None else _spread(again, kept)
        if more is not None:
            touched = touched.union(_meeting(edge_frame(more), texts))
        found = _remaining(kept, dead, more)
        edges = edge_frame(found)
    touched, _ = cut(touched.distinct())
    rows, _ = cut(staying.join(touched, "cluster", "left_semi").select(*members.columns))
    alive = rows.where("key is not null").select("key").distinct()
    clusters = clustered(rows, labels_of(_inside(edges, alive), BUCKETS)[0], id)
    clusters = clusters.join(rows.select(id, PART), id).select(*members.columns)
    others = staying.join(touched, "cluster", "left_anti").select(*members.columns)
    every = dead if before is None else np.union1d(before, dead)
    both = None
    if found is not None:
        both = found.frame.union(_frame([piece(pieces.GONE, len(every), (every,))], kept))
    return Left(others.union(clusters), both, len(every))


def compared_again(known: Known, gone: UInts, matching: Matching) -> Held | None:
    """Edges among the texts of large buckets that these have left; None without such buckets.

    Args:
        gone: Texts, ascending, that are gone since.
    """
    dead = gone if known.dead is None else np.union1d(known.dead, gone)
    wanted, rows = None, _MOST_HERE + 1
    if len(gone) * matching.banding.bands <= knowing.MOST_HASHES:
        wanted, rows = _crowded(known.signed, gone)
        if not rows:
            return None
    here = rows <= _MOST_HERE
    buckets = 1 if here else BUCKETS
    found = known.signed.through(BandsThatMeet(wanted, buckets, dead, pieces.BANDS))
    kinds = pieces.BANDS, pieces.IDS, pieces.DOCUMENTS
    described = (found.here() if here else found).cut(*kinds)
    # They are compared with one another alone, and bring no sets.
    alone = replace(known, signed=described.of(pieces.SIGNED), fresh=Fresh(_NONE, _NONE))
    edges, figures = compare(described, matching, buckets, alone)
    logger.info("compared again after a deletion: %s", figures)
    described.release()
    return edges


def _crowded(signed: Pieces, gone: UInts) -> tuple[UInts, int]:
    """The bands of large buckets that texts were in, ascending, and how many rows have them."""
    bands, _ = _counted(signed.through(_Crowds(gone, None)))
    bands, sizes = _counted(signed.through(_Crowds(None, bands)))
    large = sizes > WHOLE
    return bands[large], int(sizes[large].sum())


def _counted(crowds: Pieces) -> tuple[UInts, UInts]:
    received = Received(crowds.here().batches)
    if pieces.CROWDS not in received:
        return _NONE, _NONE
    bands, counts = received.take(pieces.CROWDS)
    bands, places = np.unique(bands, return_inverse=True)
    sizes = np.zeros(len(bands), np.uint64)
    np.add.at(sizes, places, counts)
    return bands, sizes


def _spread(edges: Held, kept: Kept) -> Spread:
    if isinstance(edges, Here):
        return Spread(_frame(edges.of(pieces.EDGES).batches, kept))
    assert isinstance(edges, Cut)
    return edges.of(pieces.EDGES)


def _frame(batches: list[pa.RecordBatch], kept: Kept) -> DataFrame:
    table = pa.Table.from_batches(batches, pieces.ARROW)
    return kept.lake.spark.createDataFrame(table, pieces.SCHEMA)


def _remaining(kept: Kept, gone: UInts, again: Spread | None) -> Cut:
    """The edges between texts that are there, each once."""
    stored, routing = kept.verified(), _Remaining(gone, BUCKETS)
    edges = stored.through(routing)
    if again is not None:
        edges = edges.union(again.through(routing))
    return edges.met(stored.size, BUCKETS).through(_once).cut(pieces.EDGES)


def _meeting(edges: DataFrame, texts: DataFrame) -> DataFrame:
    """[cluster]: those that edges connect with another one.

    Args:
        texts: [key, cluster]
    """
    from pyspark.sql import functions as F

    for end in ("a", "b"):
        named = texts.select(F.col("key").alias(end), F.col("cluster").alias(f"cluster_{end}"))
        edges = edges.join(named, end)
    apart = edges.where("cluster_a <> cluster_b")
    return apart.select(F.explode(F.array("cluster_a", "cluster_b")).alias("cluster"))


def _inside(edges: DataFrame, alive: DataFrame) -> DataFrame:
    """[a, b]: the edges between keys that are alive."""
    for end in ("a", "b"):
        edges = edges.join(alive.withColumnRenamed("key", end), end, "left_semi")
    return edges.select("a", "b")


@dataclass(frozen=True)
class _Crowds:
    """How many of some texts have each of some bands; None stands for all."""

    texts: UInts | None
    bands: UInts | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        texts, wanted = Among(self.texts), Among(self.bands)
        for _, _, (keys, bands) in unpacked(batches):
            flat = bands[texts(keys)].ravel()
            found, counts = np.unique(flat[wanted(flat)], return_counts=True)
            if len(found):
                yield piece(pieces.CROWDS, len(found), (found, counts.astype(np.uint64)))


@dataclass(frozen=True)
class _Remaining:
    """Edges between texts that are there, at the bucket of their lesser key."""

    gone: UInts
    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        among = Among(self.gone)
        for _, _, edges in unpacked(batches):
            there = ~(among.mask(edges[0]) | among.mask(edges[1]))
            low, high, similarity = (part[there] for part in edges)
            homes = bucket_of(low, self.buckets)
            yield from routed(pieces.EDGES, homes, (low, high, similarity))


def _once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    received = Received(batches)
    if pieces.EDGES not in received:
        return
    low, high, similarity = received.take(pieces.EDGES)
    order = np.lexsort((high, low))
    low, high, similarity = low[order], high[order], similarity[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    yield piece(pieces.EDGES, int(first.sum()), (low[first], high[first], similarity[first]))
