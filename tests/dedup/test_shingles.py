"""Shingles, bands and exact Jaccard against plain Python and the theory; no Spark."""

from __future__ import annotations

import itertools
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.dedup.candidates import WHOLE, candidates
from sparkmine.dedup.jaccard import jaccard
from sparkmine.dedup.shingles import Shingling, shingled
from sparkmine.dedup.signatures import Banding, band_hashes, banding
from sparkmine.errors import ConfigError

MASK = (1 << 64) - 1
BASE = 0x9E3779B97F4A7C15
SALT = 0xD6E8FEB86659FD93

TEXTS = [
    "The quick brown fox jumps over the lazy dog",
    "the QUICK, brown fox -- jumps over the lazy dog!",
    "one two",
    "",
    None,
    " .. !? ",
    "one two one two one two one two",
    "Grüße aus Köln, STRASSE und Straße; \ufb01ne caf\u0065\u0301 “quoted” a\u00a0b",
    "日本語の文章 です。これは　テスト",
    "x" * 5000,
    "ÉCOLE Σίσυφος ǅ ﷺ",
    "a",
]


def mix(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def words(text: str | None) -> list[str]:
    """By Python's own Unicode tables."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text or "").lower())
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return "".join(kept).split()


def hashed(units: list[bytes], kind: str) -> list[int]:
    if kind == "char":
        return [mix(int.from_bytes(unit, "big") * BASE & MASK) for unit in units]
    found = []
    for unit in units:
        total = sum(
            mix((byte + 1) * BASE & MASK) * pow(BASE, place, 1 << 64)
            for place, byte in enumerate(unit)
        )
        found.append(mix(total & MASK))
    return found


def reference(text: str | None, kind: str, size: int) -> list[int]:
    """The module's rules, document by document, in Python's own numbers."""
    if kind == "word":
        units = [word.encode() for word in words(text)]
    else:
        units = [letter.encode() for letter in " ".join(words(text))]
    codes = hashed(units, kind)
    runs = [codes[i : i + size] for i in range(max(len(codes) - size + 1, min(len(codes), 1)))]
    weights = [mix((place + 1) ^ SALT) | 1 for place in range(size)]
    return sorted(
        {mix(sum(c * w for c, w in zip(run, weights, strict=False)) & MASK) for run in runs}
    )


@pytest.mark.parametrize(("kind", "size"), [("word", 1), ("word", 3), ("char", 1), ("char", 5)])
def test_shingles_are_those_of_the_rules(kind: str, size: int) -> None:
    texts = pa.array(TEXTS * 2, pa.string()).slice(3)
    sets = shingled(texts, Shingling(kind, size))
    assert len(sets) == len(texts)
    for place, text in enumerate(texts.to_pylist()):
        found = sets.values[sets.offsets[place] : sets.offsets[place + 1]].tolist()
        assert found == reference(text, kind, size), text


def test_chunks_of_a_block_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(TEXTS * 5)
    whole = shingled(texts, Shingling())
    monkeypatch.setattr("sparkmine.dedup.shingles._CHUNK_BYTES", 60)
    parts = shingled(texts, Shingling())
    assert np.array_equal(whole.values, parts.values)
    assert np.array_equal(whole.offsets, parts.offsets)


def test_no_text_at_all() -> None:
    for texts in ([], [None], ["", None]):
        sets = shingled(pa.array(texts, pa.string()), Shingling("char", 4))
        assert len(sets) == len(texts)
        assert len(sets.values) == 0


@pytest.mark.parametrize(
    ("kind", "size", "says"),
    [("line", 3, "word, char"), ("word", 0, "between 1 and"), ("word", 2.5, "whole number")],
)
def test_shingles_that_do_not_exist(kind: str, size: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Shingling(kind, size)  # type: ignore[arg-type]


def documents(count: int, seed: int = 0) -> list[str]:
    """Random texts of 5 to 60 words, every second one a changed copy of the one before."""
    rng = np.random.default_rng(seed)
    found: list[str] = []
    for number in range(count):
        if number % 2:
            chosen = found[-1].split()
            for place in np.flatnonzero(rng.random(len(chosen)) < rng.random() * 0.2):
                chosen[place] = f"w{rng.integers(5000)}"
        else:
            chosen = [f"w{i}" for i in rng.integers(0, 5000, rng.integers(5, 60))]
        found.append(" ".join(chosen))
    return found


def test_jaccard_is_that_of_pythons_sets() -> None:
    texts = [*documents(60), "", "one two", "x " * 900, "", "one two three"]
    sets = shingled(pa.array(texts), Shingling("word", 2))
    left, right = map(np.array, zip(*itertools.product(range(len(texts)), repeat=2), strict=True))
    found = jaccard(sets, left, right)
    plain = [
        {" ".join(pair) for pair in itertools.pairwise(w)} or set(w)
        for w in (re.findall(r"\w+", text) for text in texts)
    ]
    for a, b, similarity in zip(left, right, found, strict=True):
        union = plain[a] | plain[b]
        assert similarity == (len(plain[a] & plain[b]) / len(union) if union else 0.0)


@pytest.mark.parametrize("similarity", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("rows", [3, 5])
def test_bands_meet_as_often_as_the_theory_says(similarity: float, rows: int) -> None:
    """2,000 pairs with exactly this similarity, of 90 shingles a pair."""
    rng = np.random.default_rng(4)
    shared, union, pairs = round(90 * similarity), 90, 2000
    values = rng.integers(0, 1 << 62, (pairs, union), dtype=np.uint64)
    own = (union - shared) // 2
    texts = []
    for row in values:
        texts += [row[: shared + own], np.concatenate([row[:shared], row[shared + own :]])]
    lengths = [len(text) for text in texts]
    from sparkmine.dedup.sets import Sets, offsets_of

    sets = Sets(np.concatenate([np.sort(text) for text in texts]), offsets_of(lengths))
    found = Banding(bands=8, rows=rows)
    hashes = band_hashes(sets, found)
    equal = hashes[0::2] == hashes[1::2]
    one, any_of_them = similarity**rows, found.chance(similarity)
    # Five standard deviations; bands of one pair are nearly independent.
    assert equal.mean() == pytest.approx(one, abs=5 * np.sqrt(one / (8 * pairs)) + 0.002)
    assert equal.any(axis=1).mean() == pytest.approx(any_of_them, abs=0.06)
    assert len(np.unique(hashes)) > 8 * pairs  # and bands of strangers do not


def test_banding_reaches_the_wanted_recall() -> None:
    for threshold, recall in itertools.product([0.2, 0.5, 0.6, 0.7, 0.8, 0.95], [0.9, 0.99]):
        found = banding(threshold, recall)
        assert found.chance(threshold) >= recall
        fewer = Banding(found.bands - 1, found.rows)
        assert found.bands == 1 or fewer.chance(threshold) < recall
    assert banding(1.0, 0.99).chance(1.0) == 1.0
    assert banding(0.7, 0.99).chance(0.2) < 0.05  # strangers are rarely compared
    for threshold, recall in [(0.0, 0.9), (1.1, 0.9), (0.5, 1.0), (0.5, 0.0)]:
        with pytest.raises(ConfigError):
            banding(threshold, recall)
    with pytest.raises(ConfigError, match="raise it"):
        banding(0.001, 0.99)


def test_signatures_are_what_tables_hold() -> None:
    """If this fails after an upgrade, kept signatures are worthless: give them a new version."""
    sets = shingled(pa.array(["one two three four", "one two three four five"]), Shingling())
    hashes = band_hashes(sets, Banding(4, 2))
    assert Banding(4, 2).version == "sparkmine-shingles-1/rensa-rminhash-2/seed-1/4x2"
    assert sets.keys().tolist() == [16894639523812213984, 3723011921792150166]
    assert hashes.tolist() == [
        [11224076892424419600, 378216067478592869, 12370125700822059848, 6699794708256942000],
        [9588037318449247870, 378216067478592869, 12370125700822059848, 6207442215171610988],
    ]


def pairs_of(buckets: dict[int, list[int]], shuffled: int, fresh: set[int] | None = None):
    rows = [(band, band ^ key * 7, key) for band, keys in buckets.items() for key in keys]
    np.random.default_rng(shuffled).shuffle(rows)
    bands, orders, keys = (np.array(column, np.uint64) for column in zip(*rows, strict=True))
    new = None if fresh is None else np.isin(keys, list(fresh))
    a, b, large = candidates(bands, orders, keys, new)
    return list(zip(a.tolist(), b.tolist(), strict=True)), large


def test_all_pairs_of_small_buckets_and_few_of_large_ones() -> None:
    small = {1: [5, 3, 9], 2: [3, 5], 3: [4], 4: list(range(100, 100 + WHOLE))}
    expected = {pair for keys in small.values() for pair in itertools.combinations(sorted(keys), 2)}
    found, large = pairs_of(small, 1)
    assert found == sorted(expected)
    assert large == 0
    assert pairs_of(small, 1, {3, 4})[0] == [(3, 5), (3, 9)]
    huge = {7: list(range(1000, 6000)), 8: list(range(1000, 6000))}
    found, large = pairs_of(huge, 1)
    assert large == 2
    assert len(found) < 2 * 5000 * 9
    assert {b for a, b in found if a == 1000} >= set(range(1001, 6000))
    assert pairs_of(huge, 2)[0] == found
