"""How arrays cross a shuffle: a row is a piece of arrays for one bucket, not one document.

A row of Spark costs about a microsecond on each side of Python; millions of bands would be
little else. Keys are hashes, so a bucket is a range of them, and tasks take ranges of buckets.
A payload is a head of JSON that describes the arrays, and behind it their own bytes, which are read
where they lie. Pieces are kept in tables, too, so they are data that runs no code when it is read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from sparkmine.dedup.sets import Ints, Sets, UInts

SCHEMA = "bucket int, kind int, number long, payload binary"
ARROW = pa.schema(
    [
        pa.field("bucket", pa.int32()),
        pa.field("kind", pa.int32()),
        pa.field("number", pa.int64()),
        pa.field("payload", pa.binary()),
    ]
)
# Of payloads, which tables keep.
FORMAT = "pieces-2"
_ALIGNED = 8
_NUMBER = struct.Struct("<q")
# Kinds of pieces and their arrays.
IDS = 1  # hashes of ids
BANDS = 2  # band, another band, key
DOCUMENTS = 3  # keys, checks, sets
PAIRS = 4  # lesser key, greater key
REQUESTS = 5  # key, bucket that wants its set
SETS = 6  # keys, sets
EDGES = 7  # lesser key, greater key, similarity
LABELS = 8  # key, least key of its component
SIGNED = 9  # keys, their bands [n, bands]
KNOWN_BANDS = 10  # as BANDS, of documents that were compared before
KNOWN_DOCUMENTS = 11  # as DOCUMENTS, likewise
MERGED = 12  # clusters, what each is part of now, the number of the update
GONE = 13  # keys of texts without a document, ascending
BACK = 14  # keys of these that have one again
CROWDS = 15  # bands, how many texts have each
# Kinds of counts, which have no payload.
NULL_IDS = 20
NO_TEXT = 21
SUSPECTS = 22
LARGE_BUCKETS = 23
COMPARED = 24
CLASHES = 25
DISTINCT = 26
CHANGES = 27


def bucket_of(keys: UInts, buckets: int) -> Ints:
    """The bucket of each hash: equal ranges of their upper half."""
    return ((keys >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)).astype(np.int64)


def piece(kind: int, number: int, payload: Any = None, bucket: int = 0) -> pa.RecordBatch:
    """One row."""
    data = None if payload is None else packed(payload)
    return pa.RecordBatch.from_arrays(
        [
            pa.array([value], field.type)
            for value, field in zip((bucket, kind, number, data), ARROW, strict=True)
        ],
        schema=ARROW,
    )


def packed(payload: tuple[Any, ...]) -> bytes:
    """NumPy arrays, sets, Arrow arrays and whole numbers as bytes.

    First the number of blocks and the size of each; then the blocks, each at a multiple of 8, so
    that they stay aligned wherever payloads follow one another: the head, and what it describes.
    """
    blocks: list[Any] = [b""]
    head = [_described(part, blocks) for part in payload]
    blocks[0] = json.dumps(head).encode()
    views = [memoryview(block).cast("B") for block in blocks]
    sizes = np.array([len(views), *(view.nbytes for view in views)], np.int64)
    found: list[bytes | memoryview] = [sizes.tobytes()]
    for view in views:
        found += view, bytes(-view.nbytes % _ALIGNED)
    return b"".join(found)


def _described(part: Any, blocks: list[Any]) -> Any:
    """What the head says of a part; its bytes are appended to the blocks."""
    if isinstance(part, Sets):
        return [_described(part.values, blocks), _described(part.offsets, blocks)]
    if isinstance(part, np.ndarray):
        # A buffer of no bytes has no shape that can be cast.
        blocks.append(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
        return {"dtype": part.dtype.str, "shape": part.shape}
    if isinstance(part, pa.Array):
        batch = pa.RecordBatch.from_arrays([part], names=["part"])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        blocks.append(sink.getvalue())
        return {}
    return int(part)


def loaded(data: pa.Buffer) -> tuple[Any, ...]:
    """What was packed; its arrays are read-only and lie where they were."""
    (count,) = _NUMBER.unpack_from(data)
    begin = _ALIGNED * (count + 1)
    blocks = []
    for size in struct.unpack_from(f"<{count}q", data, _ALIGNED):
        blocks.append(data.slice(begin, size))
        begin += size + -size % _ALIGNED
    head, *arrays = blocks
    following = iter(arrays)
    return tuple(_restored(part, following) for part in json.loads(head.to_pybytes()))


def _restored(part: Any, blocks: Iterator[pa.Buffer]) -> Any:
    if isinstance(part, list):
        return Sets(*(_restored(one, blocks) for one in part))
    if isinstance(part, int):
        return part
    block = next(blocks)
    if part:
        return np.frombuffer(block, part["dtype"]).reshape(part["shape"])
    with pa.ipc.open_stream(block) as stream:
        return stream.read_next_batch().column(0)


def routed(kind: int, destinations: Ints, arrays: tuple[Any, ...]) -> Iterator[pa.RecordBatch]:
    """The rows of the arrays (or sets), as one piece for each destination."""
    destinations = destinations.astype(np.uint16)  # for which NumPy has a radix sort
    order = np.argsort(destinations, kind="stable")
    buckets, begins = np.unique(destinations[order], return_index=True)
    for bucket, places in zip(buckets.tolist(), np.split(order, begins)[1:], strict=True):
        some = tuple(a.take(places) for a in arrays)
        yield piece(kind, len(places), some, bucket)


def uints(keys: pa.ChunkedArray) -> UInts:
    """Keys as Spark has them, which are signed."""
    return np.asarray(keys.to_numpy()).view(np.uint64)


def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
    """The kind, the bucket and the arrays of each piece, one after the other."""
    for batch in batches:
        buckets, kinds, _, payloads = batch.columns
        for bucket, kind, payload in zip(
            buckets.to_pylist(), kinds.to_pylist(), payloads, strict=True
        ):
            yield kind, bucket, loaded(payload.as_buffer())


class Received:
    """What a task was sent, by kind."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._pieces: dict[int, list[tuple[Any, ...]]] = {}
        self._counts: dict[int, int] = {}
        for batch in batches:
            _, kinds, numbers, payloads = batch.columns
            for kind, number, payload in zip(
                kinds.to_pylist(), numbers.to_pylist(), payloads, strict=True
            ):
                self._counts[kind] = self._counts.get(kind, 0) + number
                if payload.is_valid:
                    found = loaded(payload.as_buffer())
                    self._pieces.setdefault(kind, []).append(found)

    def __contains__(self, kind: int) -> bool:
        return kind in self._pieces

    def count(self, kind: int) -> int:
        """The sum of the numbers of a kind."""
        return self._counts.get(kind, 0)

    def take(self, kind: int) -> tuple[Any, ...]:
        """The arrays of all pieces of a kind, joined; they are given out once."""
        columns = zip(*self._pieces.pop(kind), strict=True)
        return tuple(
            Sets.joined(list(parts)) if isinstance(parts[0], Sets) else np.concatenate(parts)
            for parts in columns
        )
