"""MinHash signatures of sets of shingles, and the bands by which similar ones meet.

Signatures are rensa's R-MinHash, in native code over the flat array of a block's hashes
(Dahlgaard, Knudsen and Thorup, "Fast Similarity Sketching", FOCS 2017). For 64
values it takes about 10 µs a document, most of it for taking values out of its lists; NumPy 28,
datasketch (which is NumPy, one document at a time) 280.
rensa numbers its algorithm; `version` holds that number, because signatures of two algorithms must
never meet.

Of `bands` bands with `rows` values each, two sets with Jaccard similarity s agree in at least one
with probability 1 - (1 - s^rows)^bands (Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from itertools import chain

import numpy as np

from sparkmine.dedup.sets import Sets, UInts, mixed
from sparkmine.dedup.shingles import HASHING
from sparkmine.errors import ConfigError, DataError

SEED = 1
# A band is a row in a shuffle, a value of the signature only time.
MAX_BANDS = 24
MAX_VALUES = 128


@dataclass(frozen=True)
class Banding:
    """`bands` bands of `rows` values of the signature."""

    bands: int
    rows: int

    @property
    def values(self) -> int:
        return self.bands * self.rows

    def chance(self, similarity: float) -> float:
        """Probability that two sets of this similarity share a band."""
        return float(1.0 - (1.0 - similarity**self.rows) ** self.bands)

    @property
    def version(self) -> str:
        """Names everything that signatures depend on besides the shingles."""
        from rensa import RMinHash

        algorithm = f"rensa-rminhash-{RMinHash.ALGORITHM_VERSION}"
        return f"{HASHING}/{algorithm}/seed-{SEED}/{self.bands}x{self.rows}"


def banding(threshold: float, recall: float) -> Banding:
    """The most selective bands that find pairs at the threshold with probability `recall`.

    More values in a band mean fewer pairs that are compared in vain, and more bands for the same
    recall: the most values are taken for which 24 bands and 128 values suffice.

    Raises:
        ConfigError: a threshold outside (0, 1], or a recall outside (0, 1).
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold is {threshold}; it is above 0 and at most 1")
    if not 0 < recall < 1:
        raise ConfigError(f"recall is {recall}; it is between 0 and 1, both excluded")
    found = None
    for rows in range(1, MAX_VALUES + 1):
        one = threshold**rows
        bands = 1 if one >= 1 else max(1, math.ceil(math.log(1 - recall) / math.log1p(-one)))
        if found is not None and (bands > MAX_BANDS or bands * rows > MAX_VALUES):
            break
        found = Banding(bands, rows)
        if one >= 1:
            break
    assert found is not None
    if found.bands > 1024:
        raise ConfigError(
            f"a threshold of {threshold} needs {found.bands} bands; texts that have so little in "
            "common are no near copies: raise it"
        )
    return found


def band_hashes(sets: Sets, banding: Banding) -> UInts:
    """A 64-bit hash of every band of every set, [n, bands]; no set may be empty."""
    if len(sets) == 0:
        return np.zeros((0, banding.bands), np.uint64)
    values = _signatures(sets, banding.values).astype(np.uint64)
    values = values.reshape(len(sets), banding.bands, banding.rows)
    # The number of the band is the seed: equal values in different bands do not meet.
    found = np.broadcast_to(
        mixed(np.arange(1, banding.bands + 1, dtype=np.uint64)), values.shape[:2]
    )
    for place in range(banding.rows):
        found = mixed((found ^ values[:, :, place]) * np.uint64(0x9E3779B97F4A7C15))
    return found


def _signatures(sets: Sets, values: int) -> np.ndarray:
    # One thread a Spark task; it is read when rensa first uses its pool.
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    from rensa import RMinHash

    if (sets.lengths == 0).any():
        raise DataError("a set without shingles has no signature")
    found = RMinHash.digest_matrix_from_flat_token_hashes(
        sets.values, sets.offsets.astype(np.uint64), values, SEED
    )
    # Its rows are lists; read one by one they are twice as fast as by np.array.
    flat = np.fromiter(chain.from_iterable(found.to_rows()), np.uint32, len(sets) * values)
    return flat.reshape(len(sets), values)
