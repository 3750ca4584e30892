"""Clusters kept in tables, after updates and deletions, against brute force over what is left."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sparkmine.dedup import NearDuplicateTables, near_duplicates
from sparkmine.errors import ConfigError, DataError, VersionError
from sparkmine.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


BruteForce = Callable[..., dict[int, int]]
Alike = Callable[[str, str, int], float]


def groups(clusters: dict[int, int]) -> set[frozenset[int]]:
    found: dict[int, set[int]] = {}
    for name, cluster in clusters.items():
        found.setdefault(cluster, set()).add(name)
    return {frozenset(names) for names in found.values()}


def check_verified(
    figures: Mapping[str, Any], new: dict[int, str], clusters: dict[int, int], alike: Alike
) -> None:
    """Of pairs of different new texts in one cluster: how many there are and reach the threshold.

    The examples are those that are least alike.
    """
    texts = list(dict.fromkeys(new.values()))
    cluster_of = {text: clusters[name] for name, text in new.items()}
    pairs = [p for p in itertools.combinations(texts, 2) if len({cluster_of[t] for t in p}) == 1]
    near = sorted(s for pair in pairs if (s := alike(*pair, 2)) >= 0.4)
    assert len(near) < len(pairs)
    assert figures["pairs_joined"] == len(pairs)
    assert figures["precision"] == pytest.approx(len(near) / len(pairs))
    shown = [similarity for similarity, _, _ in figures["examples"]]
    assert shown == pytest.approx(near[:5])
    for similarity, one, other in figures["examples"]:
        if max(len(one), len(other)) < 300:
            assert {one, other} <= set(texts)
            assert alike(one, other, 2) == pytest.approx(similarity)


class Kept:
    """Tables, and what should be in them."""

    def __init__(self, spark: SparkSession, lake: Lake) -> None:
        self.spark, self.lake = spark, lake
        self.texts: dict[int, str | None] = {}
        self.as_tables = False  # which are described without Spark

    @property
    def tables(self) -> NearDuplicateTables:
        return NearDuplicateTables(self.lake, "near/texts", threshold=0.4, size=2, recall=0.9999)

    def frame(self, rows: list[tuple[int, str | None]]) -> DataFrame:
        return self.spark.createDataFrame(rows, "id long, text string")

    def add(self, texts: dict[int, str | None]) -> Mapping[str, Any]:
        self.texts.update(texts)
        df = self.frame(list(texts.items()))
        if self.as_tables:
            self.lake.table("new/texts").write(df)
        new = self.lake.table("new/texts").snapshot() if self.as_tables else df
        return self.tables.update(new)

    def delete(self, ids: list[int]) -> None:
        for name in ids:
            self.texts.pop(name, None)
        self.tables.delete(self.spark.createDataFrame([(name,) for name in ids], "gone long"))

    def clusters(self) -> dict[int, int]:
        rows = self.tables.clusters().collect()
        assert len(rows) == len(self.texts)
        return {row["id"]: row["cluster"] for row in rows}


@pytest.fixture
def kept(spark: SparkSession, lake: Lake) -> Kept:
    return Kept(spark, lake)


@pytest.fixture(params=["here", "spread"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small batches are joined in this process, and all others by Spark."""
    if request.param == "spread":
        monkeypatch.setattr("sparkmine.dedup.known.MOST_HASHES", 0)
    return str(request.param)


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_clusters_merge_and_fall_apart(kept: Kept, brute_force: BruteForce) -> None:
    kept.add({10: "a b c d e", 20: "v w x y z", 30: "V W X Y Z", 40: "", 50: "alone here"})
    assert kept.clusters() == {10: 10, 20: 20, 30: 20, 40: 40, 50: 50}
    # 60 is near 10 and near 20; 5 is less than any id, and yet the old id stays.
    kept.add({60: "a b c d e v w x y z", 5: "alone HERE!", 70: None})
    expected = {10: 10, 20: 10, 30: 10, 60: 10, 40: 40, 50: 50, 5: 50, 70: 70}
    assert kept.clusters() == expected
    assert groups(kept.clusters()) == groups(brute_force(kept.texts, 2, 0.4))
    kept.delete([60, 50, 999])
    assert kept.clusters() == {10: 10, 20: 20, 30: 20, 40: 40, 5: 5, 70: 70}
    # The text of a deleted document comes again.
    kept.add({61: "A B C D E V W X Y Z"})
    assert groups(kept.clusters()) == groups(brute_force(kept.texts, 2, 0.4))
    with pytest.raises(DataError, match="id 20 is in the tables"):
        kept.tables.update(kept.frame([(20, "again")]))
    with pytest.raises(DataError, match="such as 98"):
        kept.tables.update(kept.frame([(98, "x"), (98, "y")]))
    for rows, wrong in (([(99, "x"), (99, "y")], "such as 99"), ([(None, "x")], "null in 1 rows")):
        kept.lake.table("new/texts").write(kept.frame(rows))
        with pytest.raises(DataError, match=wrong):
            kept.tables.update(kept.lake.table("new/texts").snapshot())
    with pytest.raises(ConfigError, match="were made with word-2/"):
        NearDuplicateTables(kept.lake, "near/texts", threshold=0.6, size=2)


@pytest.mark.slow
def test_many_updates_and_deletions(
    kept: Kept,
    documents: Callable[..., list[str]],
    brute_force: BruteForce,
    alike: Alike,
    place: str,
) -> None:
    kept.as_tables = place == "here"
    rng = np.random.default_rng(8)
    texts: dict[int, Any] = dict(enumerate(documents(400, seed=2)))
    order = rng.permutation(400).tolist()
    before: dict[int, int] = {}
    for begin in range(0, 400, 100):
        new = {name: texts[name] for name in order[begin : begin + 100]}
        figures = kept.add(new)
        found = kept.clusters()
        check_verified(figures, new, found, alike)
        assert groups(found) == groups(brute_force(kept.texts, 2, 0.4))
        # An old cluster has its old id, or that of another one that it became part of.
        assert {found[name] for name in before} <= set(before.values())
        gone = rng.choice(list(kept.texts), 15, replace=False).tolist()
        kept.delete(gone)
        before = kept.clusters()
        assert groups(before) == groups(brute_force(kept.texts, 2, 0.4))


def crowd(count: int, seed: int) -> dict[int, str | None]:
    """Texts that are alike, and a fourth that are less so: they meet in large buckets."""
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(count):
        changed = rng.random(30) < (0.03 if number % 4 else 0.2)
        words = [f"x{rng.integers(9)}" if c else f"w{i}" for i, c in enumerate(changed)]
        found[number] = " ".join([*words, f"y{number}"])
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_a_crowd_of_which_few_are_left_and_that_grows_again(
    kept: Kept, brute_force: BruteForce
) -> None:
    texts = crowd(260, seed=1)
    figures = kept.add({name: texts[name] for name in range(200)})
    assert figures["large_buckets"] > 0 and figures["pairs_compared"] < 200 * 199 / 4
    left = np.random.default_rng(2).choice(200, 6, replace=False).tolist()
    kept.delete([name for name in range(200) if name not in left])
    assert kept.clusters() == brute_force(kept.texts, 2, 0.4)
    # Few enough for every pair to be compared, for those that are gone are not among them.
    figures = kept.add({name: texts[name] for name in (201, 202, 203, 205)})
    assert figures["large_buckets"] == 0
    assert groups(kept.clusters()) == groups(brute_force(kept.texts, 2, 0.4))
    back = [name for name in range(8) if name not in left]
    kept.add({name: texts[name] for name in [*range(210, 260), *back]})
    df = kept.frame(list(kept.texts.items()))
    whole = near_duplicates(df, threshold=0.4, size=2, recall=0.9999).collect()
    assert groups(kept.clusters()) == groups({row["id"]: row["cluster"] for row in whole})


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_a_day_with_a_crowd_comes_again(kept: Kept, brute_force: BruteForce) -> None:
    texts = crowd(220, seed=3)
    kept.add({name: texts[name] for name in range(200, 204)})
    day = {name: texts[name] for name in range(200)}
    kept.tables.replace(kept.frame(list(day.items())), "one")
    # Of the texts of that day 12 are as they were, and 8 have changed.
    again = {name: texts[name] for name in range(0, 200, 17)}
    again |= {name + 1: texts[204 + name // 17] for name in range(0, 136, 17)}
    figures = kept.tables.replace(kept.frame(list(again.items())), "one")
    assert (figures["deleted"], figures["rows"]) == (188, 8)
    kept.texts |= again
    assert groups(kept.clusters()) == groups(brute_force(kept.texts, 2, 0.4))


@pytest.mark.slow
def test_all_parts_at_once(
    kept: Kept, documents: Callable[..., list[str]], brute_force: BruteForce, alike: Alike
) -> None:
    """What was there goes, work that was done is known, and updates go on from there."""
    kept.add({1000: "these go away"})
    texts = dict(enumerate(documents(200, seed=3)))
    rows = [(name, text, f"day {name % 3}") for name, text in texts.items()]
    df = kept.spark.createDataFrame(rows, "id long, text string, day string")
    figures = kept.tables.load(df, "day", "the work")
    kept.texts = dict(texts)
    assert kept.clusters() == brute_force(texts, 2, 0.4)
    check_verified(figures, texts, kept.clusters(), alike)
    parts = {row["id"]: row["part"] for row in kept.tables.members().collect()}
    assert parts == {name: day for name, _, day in rows}
    version = kept.tables.version
    assert kept.tables.load(df, "day", "the work") == figures
    assert (figures["rows"], kept.tables.version) == (200, version)
    kept.tables.replace(df.where("day = 'day 1'"), "day 1")
    kept.add({500: texts[7], 501: "something else"})
    assert kept.clusters() == brute_force(kept.texts, 2, 0.4)


@pytest.mark.slow
def test_all_parts_at_once_may_be_no_document(kept: Kept) -> None:
    kept.add({1: "one two three four", 2: "these go away"})
    none = kept.spark.createDataFrame([], "id long, text string, day string")
    figures = kept.tables.load(none, "day", "the work")
    kept.texts = {}
    assert (figures["rows"], kept.clusters()) == (0, {})
    kept.add({1: "one two three four", 7: "one two three four"})
    assert kept.clusters() == {1: 1, 7: 1}


def test_deletions_of_an_earlier_sparkmine_are_refused(kept: Kept) -> None:
    kept.add({1: "one two three four"})
    table = kept.lake.table("near/texts/clusters")
    state = (next(iter(table.commits())).metadata or {})["near"]
    rows = table.snapshot().dataframe(kept.spark).limit(0)
    table.write(rows, mode="append", metadata={"near": {**state, "deleted": True}})
    with pytest.raises(VersionError, match=r"lost documents under an earlier.*add all documents"):
        kept.add({2: "one two three four"})


def test_tables_of_an_earlier_layout_are_refused(kept: Kept) -> None:
    kept.lake.table("near/texts/pieces").write(kept.spark.range(1))
    with pytest.raises(VersionError, match=r"is of an earlier sparkmine.*add all documents again"):
        _ = kept.tables
