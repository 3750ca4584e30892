"""Texts that were compared among themselves before, when new ones come.

Their bands and sets are read where they lie. Of these only what meets a band, or a pair, of the new
texts is sent through a shuffle: the hashes of the new ones go to every task. A batch with too many
for that is like a first run, and all that is known goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.dedup import pieces
from sparkmine.dedup.flow import Held, Here, Pieces
from sparkmine.dedup.pieces import Received, bucket_of, piece, routed, unpacked
from sparkmine.dedup.sets import Ints, Sets, UInts, offsets_of

# Hashes that are sent to every task, 8 bytes each.
MOST_HASHES = 1 << 22
# Bands that a task holds before it sends them on.
_FLUSH_ROWS = 1 << 20
# Pieces of sets whose keys are looked up together.
_TOGETHER = 64
# A set, about.
_SET_BYTES = 1 << 10
_SHIFTS = np.uint64(0), np.uint64(31)


@dataclass(frozen=True)
class Fresh:
    """Hashes of a batch, ascending; None where they are more than `MOST_HASHES`.

    Attributes:
        bands: Its bands.
        keys: Its texts.
    """

    bands: UInts | None
    keys: UInts | None

    @classmethod
    def of(cls, described: Held) -> Fresh:
        """What `describe` found."""
        return cls(*_hashes(described, pieces.BANDS, pieces.DOCUMENTS))


@dataclass(frozen=True)
class Known:
    """What is kept of the texts that were there before.

    Attributes:
        signed: Pieces `SIGNED`, of `signed_bytes` bytes on disk.
        documents: Pieces `DOCUMENTS`, of `documents_bytes`.
        fresh: The batch that is compared with them.
        dead: Texts without a document, ascending: nothing is compared with them.
    """

    signed: Pieces
    documents: Pieces
    signed_bytes: int
    documents_bytes: int
    fresh: Fresh
    dead: UInts | None = None

    def bands(self, described: Held, buckets: int) -> tuple[Pieces, int]:
        """Pieces `KNOWN_BANDS` that meet a band of the new texts, and about their bytes."""
        wanted = self.fresh.bands
        task = BandsThatMeet(wanted, _parts(described, buckets), self.dead)
        found = self.signed.through(task)
        size = 3 * self.signed_bytes
        return _beside(found, described), size if wanted is None else min(
            size, described.bytes(pieces.BANDS)
        )

    def sets(self, described: Held, pairs: Held, buckets: int) -> tuple[Pieces, int]:
        """Pieces `KNOWN_DOCUMENTS` of texts in pairs, or equal to new ones; about their bytes."""
        (asked,) = _hashes(pairs, pieces.REQUESTS)
        wanted = union(asked, self.fresh.keys)
        found = self.documents.through(_SetsOf(wanted, _parts(described, buckets)))
        size = self.documents_bytes
        return _beside(found, described), size if wanted is None else min(
            size, len(wanted) * _SET_BYTES
        )

    def returned(self, described: Held) -> Pieces:
        """Pieces `BACK` of texts without a document that have one again."""
        return described.of(pieces.DOCUMENTS).through(_Returned(self.dead))


def _beside(found: Pieces, others: Held) -> Pieces:
    """In the same place as others."""
    return found.here() if isinstance(others, Here) else found


def _parts(others: Held, buckets: int) -> int:
    """Buckets for what is put beside others: in this process one is enough."""
    return 1 if isinstance(others, Here) else buckets


def union(*found: UInts | None) -> UInts | None:
    """All hashes, ascending; None if some are unknown."""
    parts = [hashes for hashes in found if hashes is not None]
    return np.unique(np.concatenate(parts)) if len(parts) == len(found) else None


def _hashes(held: Held, *kinds: int) -> list[UInts | None]:
    """The first arrays of pieces of each kind, each value once."""
    few = [kind for kind in kinds if held.count(kind) <= MOST_HASHES]
    received = Received(held.of(*few).through(_first_arrays).here().batches)
    none = np.zeros(0, np.uint64)
    found = {k: np.unique(received.take(k)[0]) if k in received else none for k in few}
    return [found.get(kind) for kind in kinds]


def _first_arrays(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for kind, _, (first, *_) in unpacked(batches):
        yield piece(kind, len(first), (np.unique(first),))


class Among:
    """Tells which hashes are among `wanted`, ascending ones; all are if that is None."""

    def __init__(self, wanted: UInts | None) -> None:
        self.wanted = wanted
        if wanted is None:
            return
        # A table of sixteen places for each hash decides nearly all, and one by other bits nearly
        # all that are left: a search costs as much as twenty looks.
        self.bits = np.uint64((1 << max(int(16 * len(wanted)).bit_length(), 10)) - 1)
        self.tables = [np.zeros(int(self.bits) + 1, bool) for _ in range(2)]
        for table, shift in zip(self.tables, _SHIFTS, strict=True):
            table[(wanted >> shift) & self.bits] = True

    def __call__(self, hashes: UInts) -> Ints:
        """Their places, in the flat array."""
        hashes = hashes.ravel()
        if self.wanted is None:
            return np.arange(len(hashes))
        places = np.flatnonzero(self.tables[0].take((hashes & self.bits).view(np.int64)))
        some = hashes[places]
        left = self.tables[1].take(((some >> _SHIFTS[1]) & self.bits).view(np.int64))
        places, some = places[left], some[left]
        if not len(places):
            return places
        nearest = np.minimum(np.searchsorted(self.wanted, some), len(self.wanted) - 1)
        return np.asarray(places[self.wanted[nearest] == some], np.int64)

    def mask(self, hashes: UInts) -> npt.NDArray[np.bool_]:
        """One for each of a flat array."""
        found = np.zeros(len(hashes), bool)
        found[self(hashes)] = True
        return found


@dataclass(frozen=True)
class BandsThatMeet:
    """From `SIGNED` to rows [band, another band, key] of texts with one of some bands.

    Attributes:
        wanted: The bands, ascending; None for all.
        dead: Texts that are left out, ascending.
        kind: Of the pieces.
    """

    wanted: UInts | None
    buckets: int
    dead: UInts | None = None
    kind: int = pieces.KNOWN_BANDS

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        among = Among(self.wanted)
        dead = None if self.dead is None else Among(self.dead)
        waiting: list[tuple[UInts, UInts, UInts]] = []
        rows = 0
        for _, _, (keys, bands) in unpacked(batches):
            count = bands.shape[1]
            document, band = np.divmod(among(bands), count)
            if dead is not None:
                alive = ~dead.mask(keys[document])
                document, band = document[alive], band[alive]
            # As `Describe` has it: a document's next band orders it among others.
            order = bands[document, (band + 1) % count]
            waiting.append((bands[document, band], order, keys[document]))
            rows += len(document)
            if rows >= _FLUSH_ROWS:
                yield from self._flushed(waiting)
                waiting, rows = [], 0
        if rows:
            yield from self._flushed(waiting)

    def _flushed(self, waiting: list[tuple[UInts, UInts, UInts]]) -> Iterator[pa.RecordBatch]:
        bands, orders, keys = (np.concatenate(part) for part in zip(*waiting, strict=True))
        homes = bucket_of(bands, self.buckets)
        yield from routed(self.kind, homes, (bands, orders, keys))


@dataclass(frozen=True)
class _Returned:
    dead: UInts | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        among = Among(self.dead)
        for _, _, (keys, _, _) in unpacked(batches):
            back = keys[among(keys)]
            if len(back):
                yield piece(pieces.BACK, len(back), (back,))


@dataclass(frozen=True)
class _SetsOf:
    wanted: UInts | None
    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        among = Among(self.wanted)
        every = (arrays for _, _, arrays in unpacked(batches))
        # Pieces have few hundred keys each, and a call of NumPy takes as long as these.
        while some := list(islice(every, _TOGETHER)):
            begins = offsets_of([len(keys) for keys, _, _ in some])
            places = among(np.concatenate([keys for keys, _, _ in some]))
            cuts = np.searchsorted(places, begins)
            found = []
            for number in np.flatnonzero(np.diff(cuts)).tolist():
                keys, checks, sets = some[number]
                mine = places[cuts[number] : cuts[number + 1]] - begins[number]
                found.append((keys[mine], checks[mine], sets.take(mine)))
            if found:
                keys, checks = (np.concatenate([part[i] for part in found]) for i in range(2))
                sets = Sets.joined([part[2] for part in found])
                homes = bucket_of(keys, self.buckets)
                yield from routed(pieces.KNOWN_DOCUMENTS, homes, (keys, checks, sets))
