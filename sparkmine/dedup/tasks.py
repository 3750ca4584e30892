"""What the tasks of a search for near copies do with the pieces they are sent (see `near.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkmine.dedup import pieces
from sparkmine.dedup.candidates import candidates, unique_pairs
from sparkmine.dedup.flow import Pieces, Spread
from sparkmine.dedup.jaccard import jaccard
from sparkmine.dedup.pieces import Received, bucket_of, piece, routed
from sparkmine.dedup.sets import Ints, Sets, UInts
from sparkmine.dedup.shingles import Shingling, shingled
from sparkmine.dedup.signatures import Banding, band_hashes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A task sends its pieces when it has sets of about this many bytes.
_FLUSH_BYTES = 1 << 25
# Documents in one piece of bands that are kept, of about a megabyte.
_SIGNED_ROWS = 8192


@dataclass(frozen=True)
class Describe:
    """Texts to keys, and pieces of sets, bands and hashes of ids.

    Batches are [id, text, hash of the id]. Rows that come out are [id, key], or a piece.
    """

    shingling: Shingling
    banding: Banding
    buckets: int
    keep: bool = False

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        waiting: list[tuple[UInts, UInts, Sets]] = []
        size = 0
        for batch in batches:
            ids, texts, hashes = batch.columns
            sets = shingled(texts, self.shingling)
            keys = sets.keys()
            full = sets.lengths > 0
            yield _rows(ids, pa.array(keys.view(np.int64), mask=~full), batch.num_rows)
            counts = [
                piece(pieces.NULL_IDS, ids.null_count),
                piece(pieces.NO_TEXT, int((~full).sum())),
            ]
            hashed = hashes.to_numpy(zero_copy_only=False).view(np.uint64)
            ids_sent = routed(pieces.IDS, bucket_of(hashed, self.buckets), (hashed,))
            for row in (*counts, *ids_sent):
                yield _pieces(row, ids.type)
            # Equal texts are one node; of a crowd of them, one goes on.
            _, first = np.unique(keys, return_index=True)
            first = first[full[first]]
            waiting.append((keys[first], sets.checks()[first], sets.take(first)))
            size += 8 * len(waiting[-1][2].values)
            if size >= _FLUSH_BYTES:
                yield from self._flushed(waiting, ids.type)
                waiting, size = [], 0
        if waiting:
            yield from self._flushed(waiting, ids.type)

    def _flushed(
        self, waiting: list[tuple[UInts, UInts, Sets]], kind: pa.DataType
    ) -> Iterator[pa.RecordBatch]:
        keys = np.concatenate([keys for keys, _, _ in waiting])
        checks = np.concatenate([checks for _, checks, _ in waiting])
        sets = Sets.joined([sets for _, _, sets in waiting])
        _, first = np.unique(keys, return_index=True)
        keys, checks, sets = keys[first], checks[first], sets.take(first)
        document = (keys, checks, sets)
        for row in routed(pieces.DOCUMENTS, bucket_of(keys, self.buckets), document):
            yield _pieces(row, kind)
        bands = band_hashes(sets, self.banding)
        for begin in range(0, len(keys) if self.keep else 0, _SIGNED_ROWS):
            some = slice(begin, begin + _SIGNED_ROWS)
            yield _pieces(piece(pieces.SIGNED, len(keys[some]), (keys[some], bands[some])), kind)
        # A document's next band is what orders it among too many with this one.
        flat = bands.ravel(), np.roll(bands, -1, axis=1).ravel(), np.repeat(keys, bands.shape[1])
        for row in routed(pieces.BANDS, bucket_of(flat[0], self.buckets), flat):
            yield _pieces(row, kind)


def _rows(ids: pa.Array, keys: pa.Array, count: int) -> pa.RecordBatch:
    empty = [pa.nulls(count, field.type) for field in pieces.ARROW]
    return pa.RecordBatch.from_arrays([ids, keys, *empty], names=["id", "key", *_NAMES])


def _pieces(rows: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    count = rows.num_rows
    empty = [pa.nulls(count, kind), pa.nulls(count, pa.int64())]
    return pa.RecordBatch.from_arrays([*empty, *rows.columns], names=["id", "key", *_NAMES])


_NAMES = pieces.ARROW.names


@dataclass(frozen=True)
class FindPairs:
    """Bands to candidate pairs, at the bucket of the lesser key, and requests for their sets."""

    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = Received(batches)
        if pieces.IDS in received:
            (hashes,) = received.take(pieces.IDS)
            yield piece(pieces.SUSPECTS, len(hashes) - len(np.unique(hashes)))
        if pieces.BANDS not in received:
            return
        bands, orders, keys = received.take(pieces.BANDS)
        fresh = None
        if pieces.KNOWN_BANDS in received:
            known = received.take(pieces.KNOWN_BANDS)
            fresh = np.arange(len(bands) + len(known[0])) < len(bands)
            bands, orders, keys = (
                np.concatenate(both) for both in zip((bands, orders, keys), known, strict=True)
            )
        low, high, large = candidates(bands, orders, keys, fresh)
        homes = bucket_of(low, self.buckets)
        yield piece(pieces.LARGE_BUCKETS, large)
        yield from routed(pieces.PAIRS, homes, (low, high))
        keys, wanted_by = np.concatenate([low, high]), np.concatenate([homes, homes])
        keys, wanted_by = _unique_rows(keys, wanted_by)
        yield from routed(pieces.REQUESTS, bucket_of(keys, self.buckets), (keys, wanted_by))


def _unique_rows(keys: UInts, numbers: Ints) -> tuple[UInts, Ints]:
    order = np.lexsort((numbers, keys))
    keys, numbers = keys[order], numbers[order]
    first = np.ones(len(keys), bool)
    first[1:] = (keys[1:] != keys[:-1]) | (numbers[1:] != numbers[:-1])
    return keys[first], numbers[first]


class Answer:
    """Documents and requests to sets, sent to the buckets that asked for them."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = Received(batches)
        kinds = [k for k in (pieces.DOCUMENTS, pieces.KNOWN_DOCUMENTS) if k in received]
        if not kinds:
            return
        parts = [received.take(kind) for kind in kinds]
        new = len(np.unique(parts[0][0])) if kinds[0] == pieces.DOCUMENTS else 0
        keys, checks = (np.concatenate([part[i] for part in parts]) for i in range(2))
        sets = Sets.joined([part[2] for part in parts])
        order = np.lexsort((checks, keys))
        same = keys[order][1:] == keys[order][:-1]
        clashes = int((same & (checks[order][1:] != checks[order][:-1])).sum())
        first = order[np.concatenate([[True], ~same])]
        yield piece(pieces.DISTINCT, new)
        yield piece(pieces.CLASHES, clashes)
        if pieces.REQUESTS not in received:
            return
        wanted, homes = _unique_rows(*received.take(pieces.REQUESTS))
        places = first[np.searchsorted(keys[first], wanted)]
        yield from routed(pieces.SETS, homes, _Chosen(places, wanted, sets).columns)


@dataclass(frozen=True)
class _Chosen:
    """Sets that several buckets may want, copied only when a piece is made."""

    places: Ints
    keys: UInts
    sets: Sets

    @property
    def columns(self) -> tuple[Any, ...]:
        return self.keys, self

    def take(self, places: Ints) -> Sets:
        return self.sets.take(self.places[places])


@dataclass(frozen=True)
class Compare:
    """Pairs with both sets to edges: those whose exact similarity reaches the threshold."""

    threshold: float

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = Received(batches)
        for kind in (pieces.DISTINCT, pieces.CLASHES):
            yield piece(kind, received.count(kind))
        if pieces.PAIRS not in received:
            return
        low, high = unique_pairs(*received.take(pieces.PAIRS))
        keys, sets = received.take(pieces.SETS)
        keys, first = np.unique(keys, return_index=True)
        left = first[np.searchsorted(keys, low)]
        right = first[np.searchsorted(keys, high)]
        similarity = jaccard(sets, left, right)
        near = similarity >= self.threshold
        yield piece(pieces.COMPARED, len(low))
        edges = low[near], high[near], similarity[near]
        yield piece(pieces.EDGES, int(near.sum()), edges)


def edge_frame(edges: Pieces) -> DataFrame:
    """Pieces of edges on the executors as rows [a, b, similarity]."""
    found = edges.of(pieces.EDGES)
    assert isinstance(found, Spread)
    return found.frame.mapInArrow(_edge_rows, "a long, b long, similarity double")


def _edge_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pieces of edges as rows [a, b, similarity]."""
    received = Received(batches)
    if pieces.EDGES in received:
        a, b, similarity = received.take(pieces.EDGES)
        columns = [pa.array(a.view(np.int64)), pa.array(b.view(np.int64)), pa.array(similarity)]
        yield pa.RecordBatch.from_arrays(columns, names=["a", "b", "similarity"])
