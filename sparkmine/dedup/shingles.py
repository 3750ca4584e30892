"""Sets of hashed shingles, computed over whole Arrow blocks of texts.

A text is compared by the set of its shingles: runs of `size` words, or of `size` characters
(Broder, "On the resemblance and containment of documents", 1997). Words are runs of letters,
marks and digits in lower case; whatever is between them counts as one space. Texts that are not
ASCII are brought into the form NFKC first.

Shingles are hashed to 64 bits by arithmetic over the bytes of the whole block, without a loop
over documents: a polynomial hash by prefix sums for words, weighted sums of neighbours for
shingles, MurmurHash3's finalizer behind both. `HASHING` names these rules. They are part of
what is kept in tables, so a change of them needs another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup.sets import (
    PADDING,
    Ints,
    Sets,
    UInts,
    by_width,
    mixed,
    offsets_of,
    ranges,
)
from sparkmine.errors import ConfigError

HASHING = "sparkmine-shingles-1"
KINDS = ("word", "char")
MAX_SIZE = 64
_BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
# Texts of about this many bytes are hashed at once: its arrays stay near the processor.
_CHUNK_BYTES = 1 << 20
_WEIGHT_SALT = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Shingling:
    """What texts are cut into: `size` neighbouring words or characters.

    Raises:
        ConfigError: another kind, or a size outside 1 to 64.
    """

    kind: Literal["word", "char"] = "word"
    size: int = 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"shingle is {self.kind!r}; it is one of {', '.join(KINDS)}")
        if isinstance(self.size, bool) or not isinstance(self.size, int):
            raise ConfigError(f"shingle size is {self.size!r}; it is a whole number")
        if not 1 <= self.size <= MAX_SIZE:
            raise ConfigError(f"shingle size is {self.size}; it is between 1 and {MAX_SIZE}")


def shingled(texts: pa.Array, shingling: Shingling) -> Sets:
    """The set of shingles of each text.

    A text with fewer words (characters) than a shingle has one shingle of all of them; null and
    texts without a letter or digit have the empty set.
    """
    texts = _plain(texts)
    parts = []
    for begin, end in _chunks(pc.binary_length(texts).to_numpy(zero_copy_only=False)):
        data, offsets = _bytes(texts.slice(begin, end - begin))
        units, counts = _hashed_units(data, offsets, shingling.kind)
        parts.append(_unique(*_runs(units, counts, shingling.size)))
    return Sets.joined(parts)


def _plain(texts: pa.Array) -> pa.Array:
    """Texts in which all but ASCII is normal: NFKC, lower case, one space between words."""
    texts = pc.fill_null(texts.cast(pa.large_string()), "")
    foreign = pc.not_equal(pc.utf8_length(texts), pc.cast(pc.binary_length(texts), pa.int32()))
    if not pc.any(foreign).as_py():
        return texts
    some = pc.utf8_lower(pc.utf8_normalize(texts.filter(foreign), "NFKC"))
    # Lower case may compose anew ("İ"), and what NFKC takes apart may hold separators.
    some = pc.utf8_normalize(some, "NFKC")
    some = pc.replace_substring_regex(some, r"[^\p{L}\p{M}\p{N}]+", " ")
    return pc.replace_with_mask(texts, foreign, some)


def _chunks(sizes: npt.NDArray) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about `_CHUNK_BYTES`, at least one row each."""
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        before = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, before + _CHUNK_BYTES, side="right")), begin + 1)
        yield begin, end
        begin = end


def _bytes(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], Ints]:
    """The bytes of a slice of large strings, and where each text begins."""
    _, offsets_buffer, data = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64, len(texts) + 1, texts.offset * 8)
    if data is None:
        return np.zeros(0, np.uint8), offsets - offsets[0]
    found = np.frombuffer(data, np.uint8, int(offsets[-1] - offsets[0]), int(offsets[0]))
    return found, offsets - offsets[0]


@cache
def _letters() -> npt.NDArray[np.uint8]:
    """Each byte in lower case, 0 if it is no part of a word."""
    table = np.zeros(256, np.uint8)
    for code in range(256):
        if code >= 128 or chr(code).isalnum():
            table[code] = code
    for code in range(ord("A"), ord("Z") + 1):
        table[code] = code + 32
    return table


@cache
def _codes() -> UInts:
    """A 64-bit number for each byte."""
    return mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_BASE))


@cache
def _weights() -> UInts:
    """An odd multiplier for each place in a shingle."""
    return mixed(np.arange(1, MAX_SIZE + 1, dtype=np.uint64) ^ _WEIGHT_SALT) | np.uint64(1)


_POWERS: dict[int, UInts] = {}


def _powers(base: int, count: int) -> UInts:
    """`base` to the powers 0 to count - 1, modulo 2^64."""
    known = _POWERS.get(base)
    if known is None or len(known) < count:
        factors = np.full(max(count, _CHUNK_BYTES + 1), base, np.uint64)
        factors[0] = 1
        known = np.cumprod(factors)
        if count <= 2 * _CHUNK_BYTES:  # those of one huge text are not kept
            _POWERS[base] = known
    return known[:count]


def _hashed_units(data: npt.NDArray[np.uint8], offsets: Ints, kind: str) -> tuple[UInts, Ints]:
    """A hash of every word or character of the block, and how many each text has."""
    letters = _letters()[data]
    begins, ends = _words(letters, offsets)
    if kind == "word":
        units = _polynomial(letters, begins, ends)
        return units, np.diff(np.searchsorted(begins, offsets))
    return _characters(letters, begins, ends, offsets)


def _words(letters: npt.NDArray[np.uint8], offsets: Ints) -> tuple[Ints, Ints]:
    """Where the words of a block begin and end; none crosses two texts."""
    inside = letters != 0
    cut = np.zeros(len(letters) + 1, bool)  # true where a text begins
    cut[offsets] = True
    begin, end = inside.copy(), inside.copy()
    begin[1:] &= ~inside[:-1] | cut[1:-1]
    end[:-1] &= ~inside[1:] | cut[1:-1]
    return np.flatnonzero(begin), np.flatnonzero(end) + 1


def _polynomial(letters: npt.NDArray[np.uint8], begins: Ints, ends: Ints) -> UInts:
    """Sum of code * base^place for each word, by prefix sums over the block."""
    terms = _codes()[letters]
    terms *= _powers(_BASE, len(letters) + 1)[:-1]
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])
    inverse = _powers(pow(_BASE, -1, 1 << 64), len(letters) + 1)
    return mixed((running[ends] - running[begins]) * inverse[begins])


def _characters(
    letters: npt.NDArray[np.uint8], begins: Ints, ends: Ints, offsets: Ints
) -> tuple[UInts, Ints]:
    """A hash of every character of the words of each text, which are joined by single spaces."""
    lengths = ends - begins
    places = ranges(begins, lengths + 1, offsets_of(lengths + 1))
    gap = np.zeros(len(places), bool)
    gap[np.cumsum(lengths + 1) - 1] = True
    joined = np.where(gap, np.uint8(32), letters[np.minimum(places, max(len(letters) - 1, 0))])
    first = np.searchsorted(begins, offsets)  # the first word of each text
    cuts = offsets_of(lengths + 1)[first]  # each text now ends in a space
    starts = (joined & 0xC0) != 0x80  # bytes that begin a character in UTF-8
    starts[cuts[1:][np.diff(cuts) > 0] - 1] = False
    begin = np.flatnonzero(starts)
    size = 1 + (joined[begin] >= 0xC0) + (joined[begin] >= 0xE0) + (joined[begin] >= 0xF0)
    code = np.zeros(len(begin), np.uint64)
    for place in range(4):
        more = size > place
        byte = joined[np.minimum(begin + place, max(len(joined) - 1, 0))].astype(np.uint64)
        code = np.where(more, (code << np.uint64(8)) | byte, code)
    return mixed(code * np.uint64(_BASE)), np.diff(np.searchsorted(begin, cuts))


def _runs(units: UInts, counts: Ints, size: int) -> tuple[UInts, Ints]:
    """A hash of every run of `size` units within a text; shorter texts have one run of all."""
    runs = np.where(counts > 0, np.maximum(counts - size + 1, 1), 0)
    ends = np.cumsum(counts)
    begins = ranges(ends - counts, runs, offsets_of(runs))
    last = np.repeat(ends, runs)
    short = counts.min(initial=size) < size
    found = np.zeros(len(begins), np.uint64)
    for place, weight in enumerate(_weights()[:size]):
        if short:
            inside = begins + place < last
            terms = units[np.where(inside, begins + place, 0)] * weight
            found += np.where(inside, terms, np.uint64(0))
        else:
            found += units[begins + place] * weight
    return np.minimum(mixed(found), PADDING - np.uint64(1)), runs


def _unique(values: UInts, lengths: Ints) -> Sets:
    """Each text's values in ascending order, once."""
    raw = Sets(values, offsets_of(lengths))
    kept = np.zeros(len(lengths), np.int64)
    parts = []
    for places, width in by_width(lengths):
        rows = raw.matrix(places, width)
        rows.sort(axis=1)
        first = rows != PADDING
        first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
        kept[places] = first.sum(axis=1)
        parts.append((places, rows[first]))
    offsets = offsets_of(kept)
    found = np.empty(int(offsets[-1]), np.uint64)
    for places, some in parts:
        lengths = kept[places]
        found[ranges(offsets[places], lengths, offsets_of(lengths))] = some
    return Sets(found, offsets)
