"""Spark's `hash` of strings on Arrow arrays: Murmur3_x86_32 over the bytes of UTF-8.

Appleby's MurmurHash3 (2011), except for the last 1 to 3 bytes: Spark mixes each of them as a
whole signed integer (`hashUnsafeBytes`). The loops run over word positions, not over rows.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_C1, _C2 = np.uint32(0xCC9E2D51), np.uint32(0x1B873593)
_FIVE, _ADD = np.uint32(5), np.uint32(0xE6546B64)
_F1, _F2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)


def murmur3(strings: pa.Array, seed: int = 42) -> np.ndarray:
    """The hash of each string as int32; a null gives the seed, as in Spark."""
    if isinstance(strings, pa.ChunkedArray):
        strings = strings.combine_chunks()
    if not pa.types.is_string(strings.type) and not pa.types.is_large_string(strings.type):
        strings = pc.cast(strings, pa.string())
    starts, lengths, data = _layout(strings)
    hashes = np.full(len(strings), np.array(seed, np.int64).astype(np.uint32))
    # Longest first: the rows that still have a word at some position are the first ones.
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    words: np.ndarray = np.ndarray((max(len(data) - 3, 0),), "<u4", data, strides=(1,))
    whole = lengths // 4
    for position in range(int(whole.max(initial=0))):
        rows = int(np.searchsorted(-whole, -position, side="left"))
        hashes[:rows] = _mixed(hashes[:rows], words[starts[:rows] + 4 * position])
    rest = lengths % 4
    for position in range(3):
        rows_left = np.flatnonzero(rest > position)
        if len(rows_left):
            found = data[(starts + 4 * whole)[rows_left] + position]
            signed = found.view(np.int8).astype(np.int32).view(np.uint32)
            hashes[rows_left] = _mixed(hashes[rows_left], signed)
    finished = np.empty(len(strings), np.uint32)
    finished[order] = _finished(hashes, lengths.astype(np.uint32))
    found = finished.view(np.int32)
    if strings.null_count:
        found[pc.is_null(strings).to_numpy(zero_copy_only=False)] = seed
    return found


def _layout(strings: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each string starts, its number of bytes, and all bytes."""
    wide = pa.types.is_large_string(strings.type)
    _, offsets_buffer, data_buffer = strings.buffers()
    if not len(strings):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(offsets_buffer, np.int64 if wide else np.int32)
    offsets = offsets[strings.offset : strings.offset + len(strings) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(0, np.uint8)
    return offsets[:-1], np.diff(offsets), data


def _rotated(value: np.ndarray, bits: int) -> np.ndarray:
    return (value << np.uint32(bits)) | (value >> np.uint32(32 - bits))


def _mixed(hashes: np.ndarray, words: np.ndarray) -> np.ndarray:
    mixed = hashes ^ (_rotated(words * _C1, 15) * _C2)
    return _rotated(mixed, 13) * _FIVE + _ADD


def _finished(hashes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    found = hashes ^ lengths
    found = (found ^ (found >> np.uint32(16))) * _F1
    found = (found ^ (found >> np.uint32(13))) * _F2
    return found ^ (found >> np.uint32(16))
