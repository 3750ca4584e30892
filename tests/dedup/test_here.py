"""A small batch in the driver's process, without Spark: pairs and clusters against brute force."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest

from sparkmine.dedup import pieces, verified
from sparkmine.dedup.flow import Here
from sparkmine.dedup.joining import Named
from sparkmine.dedup.known import Among, Fresh, Known
from sparkmine.dedup.leaving import compared_again
from sparkmine.dedup.near import Matching, compare
from sparkmine.dedup.sets import Sets
from sparkmine.dedup.tasks import Describe

THRESHOLD = 0.5
MATCHING = Matching.of(THRESHOLD, "word", 2, 0.9999)
Pairs = set[frozenset[int]]


def described(texts: Mapping[int, str]) -> tuple[Here, dict[int, int]]:
    """The pieces of documents, and the ids of their texts' keys."""
    ids = pa.array(list(texts), pa.int64())
    hashes = pa.array(np.arange(len(texts)) + 1)
    batch = pa.record_batch([ids, pa.array(texts.values()), hashes], names=["id", "text", "h"])
    describe = Describe(MATCHING.shingling, MATCHING.banding, 16, keep=True)
    rows = pa.Table.from_batches(describe([batch]))
    document = pa.compute.is_null(rows["kind"])
    found = rows.filter(pa.compute.invert(document)).select(pieces.ARROW.names)
    keys = rows.filter(document)["key"].to_numpy().view(np.uint64).tolist()
    return Here(found.to_batches()), dict(zip(keys, texts, strict=True))


def pairs_of(edges: Any, ids: Mapping[int, int]) -> Pairs:
    found: Pairs = set()
    for _, _, (a, b, _) in pieces.unpacked(edges.of(pieces.EDGES).here().batches):
        found |= {frozenset((ids[x], ids[y])) for x, y in zip(a.tolist(), b.tolist(), strict=True)}
    return found


def near(a: str, b: str) -> bool:
    sets = []
    for text in (a, b):
        words = re.findall(r"[^\W_]+", text.lower())
        sets.append(set(itertools.pairwise(words)) or {tuple(words)})
    return len(sets[0] & sets[1]) >= THRESHOLD * len(sets[0] | sets[1])


@pytest.fixture(scope="module")
def texts(documents: Callable[..., list[str]]) -> dict[int, str]:
    """No two are equal."""
    return dict(enumerate(dict.fromkeys(documents(300, seed=4))))


def test_pairs_of_a_first_and_a_second_batch(texts: dict[int, str]) -> None:
    old = {number: text for number, text in texts.items() if number < 200}
    new = {number: text for number, text in texts.items() if number >= 200}
    close = {frozenset(p) for p in itertools.combinations(texts, 2) if near(*map(texts.get, p))}  # type: ignore[arg-type]
    before, ids = described(old)
    edges, figures = compare(before, MATCHING, 16)
    among_old = {pair for pair in close if max(pair) < 200}
    assert pairs_of(edges, ids) == among_old
    assert figures["edges"] == len(among_old) > 30
    assert figures["distinct_texts"] == len(old)
    batch, more = described(new)
    signed, sets = before.of(pieces.SIGNED), before.of(pieces.DOCUMENTS)
    known = Known(signed, sets, 1000, 1000, Fresh.of(batch))
    edges, figures = compare(batch, MATCHING, 16, known)
    assert pairs_of(edges, ids | more) == close - among_old
    assert figures["distinct_texts"] == len(new)
    assert figures["pairs_compared"] >= figures["edges"] > 20
    # Only what meets the batch is taken out of what is known.
    taken, _ = known.bands(batch, 16)
    all_bands = len(old) * MATCHING.banding.bands
    assert 0 < taken.here().count(pieces.KNOWN_BANDS) < all_bands / 2
    everything, _ = Known(signed, sets, 0, 0, Fresh(None, None)).bands(batch, 16)
    assert everything.here().count(pieces.KNOWN_BANDS) == all_bands


def crowd(rng: np.random.Generator, count: int) -> dict[int, str]:
    """Texts of which most are alike and some less, all different, as they fill large buckets."""
    found: dict[str, None] = {}
    while len(found) < count:
        changed = rng.random(24) < rng.choice([0.02, 0.1, 0.2])
        words = (f"x{rng.integers(9)}" if c else f"w{i}" for i, c in enumerate(changed))
        found[" ".join(words)] = None
    return dict(enumerate(found))


@pytest.mark.parametrize("seed", range(4))
def test_large_buckets_that_texts_leave_and_come_to(seed: int) -> None:
    """What is kept has all pairs that a search in what is there finds, and only near ones."""
    rng = np.random.default_rng(seed)
    texts = crowd(rng, 200)
    ids = described(texts)[1]
    keys = {number: key for key, number in ids.items()}
    alive, dead = set(range(160)), set[int]()
    stored, _ = described({n: texts[n] for n in alive})
    edges, figures = compare(stored, MATCHING, 16)
    kept = pairs_of(edges, ids)
    assert figures["large_buckets"] > 0 and figures["pairs_compared"] < 160 * 159 / 4

    def known(fresh: Fresh) -> Known:
        without = np.array(sorted(keys[n] for n in dead), np.uint64) if dead else None
        signed, sets = (stored.of(kind) for kind in (pieces.SIGNED, pieces.DOCUMENTS))
        return Known(signed, sets, 1000, 1000, fresh, without)

    def kept_with(edges: Any) -> Pairs:
        found = pairs_of(edges, ids)
        assert all(near(*(texts[n] for n in pair)) for pair in found - kept)
        there, mine = described({n: texts[n] for n in alive})
        both = {pair for pair in kept | found if pair <= alive}
        assert pairs_of(compare(there, MATCHING, 16)[0], mine) <= both
        return both

    for number, share in enumerate((0.1, 0.5, 0.9)):
        # The text with which all others of a bucket were compared is among them.
        least = min(alive, key=lambda n: keys[n])
        gone = {least, *(n for n in alive if rng.random() < share)}
        left = np.array(sorted(keys[n] for n in gone), np.uint64)
        again = compared_again(known(Fresh(None, None)), left, MATCHING)
        alive, dead = alive - gone, dead | gone
        kept = kept_with(again)
        # Texts that were never there, and some that come back.
        come = {*range(160 + number, 200, 3), *rng.choice(sorted(dead), 4).tolist()} - alive
        batch, _ = described({n: texts[n] for n in come})
        edges, _ = compare(batch, MATCHING, 16, known(Fresh.of(batch)))
        stored, alive, dead = stored.union(batch), alive | come, dead - come
        kept = kept_with(edges)


def test_what_was_verified_of_the_pairs_that_clusters_join(
    texts: dict[int, str], alike: Callable[[str, str, int], float]
) -> None:
    batch, ids = described(texts)
    edges, _ = compare(batch, MATCHING, 16)
    among = pairs_of(edges, ids)
    graph = nx.Graph(map(tuple, among))
    clusters = {n: min(names) for names in nx.connected_components(graph) for n in names}
    # Half of the texts, each of them twice, of which the lesser id is shown; and one without text.
    odd = [n for n in texts if n % 2]
    signed = {n: int(np.uint64(key).astype(np.int64)) for key, n in ids.items()}
    table = pa.table(
        {
            "id": pa.array([*(n + 1000 for n in odd), *odd, 5000], pa.int64()),
            "key": pa.array([*(signed[n] for n in odd + odd), None], pa.int64()),
            "cluster": pa.array([*(clusters.get(n, n) for n in odd + odd), 5000], pa.int64()),
        }
    )
    parts = pieces.unpacked(edges.of(pieces.EDGES).here().batches)
    a, b = (np.concatenate(ends) for ends in zip(*(part[:2] for _, _, part in parts), strict=True))
    # What was met before, and is met again, counts once.
    met = np.concatenate([a, b]), np.concatenate([b, a])
    found = verified.here(table, edges, met)
    joined = [
        pair
        for pair in itertools.combinations(odd, 2)
        if len({clusters.get(n, n) for n in pair}) == 1
    ]
    near_ones = sorted((alike(texts[a], texts[b], 2), a, b) for a, b in joined if {a, b} in among)
    assert (found.joined, found.verified) == (len(joined), len(near_ones))
    assert 0 < found.verified < found.joined
    shown = {(s, *sorted(pair)) for s, *pair in found.least_alike}
    assert len(shown) == 5 and shown <= set(near_ones)
    assert sorted(s for s, *_ in shown) == [s for s, *_ in near_ones[:5]]
    assert found.figures(texts)["precision"] == len(near_ones) / len(joined)


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.date32()])
@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_the_components(kind: pa.DataType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster_of = rng.integers(0, 12, 30)  # of the texts 1 to 30; ids are from 100 on
    edges = rng.integers(1, 41, (2, int(rng.integers(0, 20))))
    new_ids = rng.permutation(np.arange(50, 70))  # less than those of old clusters
    keys = [int(k) if rng.random() < 0.8 else None for k in rng.integers(1, 41, 20)]

    def ids(numbers: Any) -> pa.Array:
        plain = pa.array(np.asarray(numbers) + 1000, pa.int32())
        return plain.cast(kind) if kind != pa.int64() else plain.cast(pa.int64())

    new = pa.table({"id": ids(new_ids), "key": pa.array(keys, pa.int64())})
    old = np.arange(1, 31).astype(np.uint64)
    a, b = edges.astype(np.uint64)
    named = Named.of(new, old, pa.chunked_array([ids(100 + cluster_of)]), a, b)

    graph = nx.Graph()
    graph.add_nodes_from(("text", k) for k in [*range(1, 41)])
    graph.add_edges_from((("text", int(x)), ("text", int(y))) for x, y in edges.T)
    graph.add_edges_from(
        (("text", k), ("cluster", 100 + int(c))) for k, c in enumerate(cluster_of, 1)
    )
    documents = {int(n): key for n, key in zip(new_ids, keys, strict=True)}
    graph.add_edges_from((("new", n), ("text", k)) for n, k in documents.items() if k is not None)
    expected = {n: n for n, key in documents.items() if key is None}
    moved = set()
    for part in nx.connected_components(graph):
        clusters = [number for what, number in part if what == "cluster"]
        fresh = [number for what, number in part if what == "new"]
        name = min(clusters or fresh or [0])
        expected |= dict.fromkeys(fresh, name)
        moved |= {(c, name) for c in clusters if c != name}
    order = [expected[int(n)] for n in new_ids]
    assert named.rows.to_pylist() == ids(order).to_pylist()
    pairs = sorted(moved)
    found = sorted(zip(*(column.to_pylist() for column in named.moved.columns), strict=True))
    wanted = list(zip(*(ids([p[i] for p in pairs]).to_pylist() for i in range(2)), strict=True))
    assert found == sorted(wanted)


def test_hashes_are_found_among_others() -> None:
    rng = np.random.default_rng(2)
    wanted = np.unique(rng.integers(0, 2**64 - 1, 5000, np.uint64, endpoint=True))
    others = rng.integers(0, 2**63, 99_999, np.uint64)
    asked = rng.permutation(np.concatenate([wanted[::7], wanted[:9] ^ np.uint64(1 << 63), others]))
    members = set(wanted.tolist())
    expected = [place for place, value in enumerate(asked.tolist()) if value in members]
    assert Among(wanted)(asked).tolist() == expected
    assert np.flatnonzero(Among(wanted).mask(asked)).tolist() == expected
    assert Among(None).mask(asked).all() and not Among(wanted[:0]).mask(asked).any()


def test_arrays_come_back_from_a_piece_where_they_lie() -> None:
    sets = Sets(np.arange(7, dtype=np.uint64), np.array([0, 3, 3, 7]))
    payload = np.arange(5, dtype=np.uint16)[::2], sets, pa.array(["é", None]), np.zeros((0, 4)), 3
    data = pa.py_buffer(pieces.packed(payload))
    few, again, texts, none, number = pieces.loaded(data)
    assert (few.tolist(), texts.to_pylist(), number) == ([0, 2, 4], ["é", None], 3)
    assert none.shape == (0, 4) and few.dtype == np.uint16
    assert again.values.tolist() == list(range(7)) and again.offsets.tolist() == [0, 3, 3, 7]
    begin = again.values.__array_interface__["data"][0] - data.address
    assert 0 < begin < data.size and begin % 8 == 0 and data.size % 8 == 0


def test_nothing_new_and_nothing_old() -> None:
    none = np.zeros(0, np.uint64)
    no_clusters = pa.chunked_array([pa.array([], pa.int64())])
    rows = {"id": pa.array([7, 5], pa.int64()), "key": pa.array([3, None], pa.int64())}
    alone = Named.of(pa.table(rows), none, no_clusters, none, none)
    assert alone.rows.to_pylist() == [7, 5]
    assert alone.moved.num_rows == 0
    empty = pa.table(rows).slice(0, 0)
    assert Named.of(empty, none, no_clusters, none, none).rows.to_pylist() == []
