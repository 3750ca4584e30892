"""Connected components of a graph whose edges are spread over tasks.

Alternating large-star and small-star: Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii,
"Connected Components in MapReduce and Beyond" (SoCC 2014). Each operation is one shuffle of the
edges; the paper proves O(log^2 n) of them for its two-phase form, and finds about log n for
alternating ones. At the end every node has one edge, to the least node of its component.

Each task first replaces its own edges by a spanning forest of stars, and so do the edges that
are left when they fit into one task (never the driver), which ends the rounds. The result
depends on the edges alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkmine.dedup.candidates import unique_pairs
from sparkmine.dedup.flow import Held, Pieces, Spread
from sparkmine.dedup.pieces import (
    CHANGES,
    EDGES,
    LABELS,
    Received,
    bucket_of,
    piece,
    routed,
)
from sparkmine.dedup.sets import UInts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

# Edges that one task takes: 16 bytes each, and about five times that while it works.
ONE_TASK = 4_000_000


def stars(a: UInts, b: UInts) -> tuple[UInts, UInts]:
    """(node, least node of its component) for every node of the edges but those least ones."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    left, right = np.split(places.ravel(), 2)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(len(nodes), len(nodes)))
    count, labels = connected_components(graph, directed=False)
    least = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(least, labels, np.arange(len(nodes)))  # nodes ascend
    roots = nodes[least[labels]]
    leaf = roots != nodes
    return nodes[leaf], roots[leaf]


def large_star(u: UInts, v: UInts) -> tuple[UInts, UInts, int]:
    """Connect the larger neighbours of each u to its least neighbour or itself.

    Args:
        u, v: Every edge of these u, in the direction u to v; those of a u are all here.

    Returns:
        The edges (greater, lesser), and how many were not there before.
    """
    u, v, least = _least(u, v)
    least = np.minimum(least, u)
    larger = v > u
    return v[larger], least[larger], int((least[larger] != u[larger]).sum())


def small_star(u: UInts, v: UInts) -> tuple[UInts, UInts, int]:
    """Connect each u and its smaller neighbours to the least of them; all v are below u."""
    u, v, least = _least(u, v)
    first = np.concatenate([[True], u[1:] != u[:-1]])[: len(u)]
    other = v != least
    return (
        np.concatenate([u[first], v[other]]),
        np.concatenate([least[first], least[other]]),
        int(other.sum()),
    )


def _least(u: UInts, v: UInts) -> tuple[UInts, UInts, UInts]:
    """The edges sorted, each once, and the least neighbour of each one's u."""
    order = np.lexsort((v, u))
    u, v = u[order], v[order]
    kept = np.ones(len(u), bool)
    kept[1:] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    u, v = u[kept], v[kept]
    begins = np.flatnonzero(np.concatenate([[True], u[1:] != u[:-1]])[: len(u)])
    return u, v, np.repeat(v[begins], np.diff(np.append(begins, len(u))))


def components(edges: Held, buckets: int, *, one_task: int = ONE_TASK) -> tuple[Pieces, int]:
    """The components of the graph of all pieces of kind `EDGES`.

    Args:
        edges: Their first two arrays are the ends of the edges.
        buckets: How many buckets there are.
        one_task: At most this many edges are solved in one task.

    Returns:
        Pieces `LABELS` (key, least key of its component), without the least keys themselves; and
        the number of star operations.
    """
    held, operations, still = edges, 0, 0
    while held.count(EDGES) > one_task:
        large = operations % 2 == 0
        send = _Send(buckets, both=large, contract=operations == 0)
        sent = held.of(EDGES).through(send).met(edges.bytes(EDGES), buckets)
        after = sent.through(_Star(large)).cut(EDGES, CHANGES)
        if held is not edges:
            held.release()
        held, changes = after, after.count(CHANGES)
        operations += 1
        logger.info("star %d: %d edges, %d new ones", operations, held.count(EDGES), changes)
        still = 0 if changes else still + 1
        if still == 2:  # neither operation has anything to do: only stars are left
            break
    together = held.of(EDGES) if still == 2 else held.of(EDGES).together()
    return together.through(_Send(buckets, both=False, contract=True, kind=LABELS)), operations


def label_frame(labels: Pieces) -> DataFrame:
    """Pieces of labels on the executors as rows [key, root]."""
    assert isinstance(labels, Spread)
    return labels.frame.mapInArrow(_label_rows, "key long, root long")


def labels_of(edges: DataFrame, buckets: int) -> tuple[DataFrame, int]:
    """[key, root] for each key of rows [a, b] but the least of its component, which is its root.

    Also returns the number of star operations.
    """
    held = Spread(edges).through(_edge_pieces).cut(EDGES)
    labels, operations = components(held, buckets)
    return label_frame(labels), operations


def _edge_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        a, b = (column.to_numpy().view(np.uint64) for column in batch.columns)
        yield piece(EDGES, len(a), (a, b))


def _label_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pieces of labels as rows [key, root]."""
    received = Received(batches)
    if LABELS in received:
        keys, roots = (column.view(np.int64) for column in received.take(LABELS))
        yield pa.RecordBatch.from_arrays([pa.array(keys), pa.array(roots)], names=["key", "root"])


class _Send:
    """Send each edge to the bucket of its greater end, or of both."""

    def __init__(self, buckets: int, *, both: bool, contract: bool, kind: int = EDGES) -> None:
        self.buckets, self.both, self.contract, self.kind = buckets, both, contract, kind

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = Received(batches)
        if EDGES not in received:
            return
        a, b, *_ = received.take(EDGES)
        u, v = stars(a, b) if self.contract else unique_pairs(a, b)[::-1]
        if self.both:
            u, v = np.concatenate([u, v]), np.concatenate([v, u])
        yield from routed(self.kind, bucket_of(u, self.buckets), (u, v))


class _Star:
    """One operation over the edges of this task's nodes."""

    def __init__(self, large: bool) -> None:
        self.large = large

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = Received(batches)
        if EDGES not in received:
            return
        u, v = received.take(EDGES)
        operation: Any = large_star if self.large else small_star
        u, v, changes = operation(u, v)
        b, a = unique_pairs(u, v)[::-1]
        yield piece(EDGES, len(a), (b, a))
        yield piece(CHANGES, changes)
