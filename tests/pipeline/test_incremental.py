"""Near copies from night to night: against a search in all rows, reruns, kills, replays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sparkmine as sm
from sparkmine.dedup import NearDuplicateTables
from sparkmine.errors import ConfigError, DataError, VersionError
from sparkmine.lake import Lake, ledger
from sparkmine.lake.maintenance import maintain
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.replay import Replay

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: pages
warehouse: {folder}/lake
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: "${{date}}.csv"}}
    columns: {{page: string, said: string, rank: int, day: string}}
    table: raw/pages
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: near_duplicates
    name: unique
    input: raw/pages
    table: unique/pages
    id: page
    text: said
    threshold: 0.4
    size: 2
    order_by: rank desc
    incremental: true
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: report
    name: report
    title: Pages
    table: reports/pages
"""
A, B = "one two three four five six", "red orange yellow green blue violet"
NIGHTS: dict[str, dict[str, tuple[str, int]]] = {
    "2026-01-01": {"a1": (A, 1), "a2": (f"{A} seven", 2), "b1": (B, 1), "c1": ("alone here", 1)},
    "2026-01-02": {"a3": (A.upper(), 9), "d1": ("new on day two", 1), "d2": ("New on day two!", 2)},
    # A text between A and B joins their clusters, which have survivors already.
    "2026-01-03": {"d3": ("new on day two", 1), "e1": (f"{A} {B}", 1), "f1": ("", 1)},
}


class Nights:
    """The pipeline and its sources in a folder."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.file = folder / "pages.yaml"
        self.file.write_text(PIPELINE.format(folder=folder))
        self.lake = Lake(folder / "lake", spark)
        for date in NIGHTS:
            self.write(date, NIGHTS[date])

    def write(self, date: str, rows: dict[str, tuple[str, int]]) -> None:
        lines = [f"{page},{said},{rank},{date}" for page, (said, rank) in rows.items()]
        (self.folder / f"{date}.csv").write_text("\n".join(["page,said,rank,day", *lines]) + "\n")

    def run(self, date: str, **options: Any) -> tuple[str, str]:
        """The status of the stage, and why it ran."""
        status, reason = "", ""

        def note(event: Any) -> None:
            nonlocal status, reason
            if event["event"] == "stage" and event["stage"] == "unique":
                status, reason = event["status"], event.get("reason", reason)

        Runner(load_pipeline(self.file, date=date), self.lake, note).run(**options)
        return status, reason

    def published(self) -> dict[str, list[str]]:
        rows = self.lake.table("unique/pages").snapshot().dataframe(self.spark)
        found = defaultdict(list)
        for row in rows.orderBy("page").collect():
            found[row["day"]].append(row["page"])
        return dict(found)

    def removed(self) -> dict[str, tuple[str, str]]:
        """Of the newest commit, by id: the survivor and the cluster."""
        metadata = self.commit().metadata or {}
        side = self.lake.table("removed/unique").snapshot(metadata["sides"]["removed/unique"])
        rows = side.where(f"fingerprint = '{metadata['fingerprint']}'").dataframe(self.spark)
        return {row["id"]: (row["survivor"], row["cluster"]) for row in rows.collect()}

    def commit(self) -> Any:
        return next(iter(self.lake.table("unique/pages").commits()))

    def run_id(self) -> str:
        return str((self.commit().metadata or {})["run_id"])

    def figures(self, *names: str) -> list[int]:
        found = (self.commit().metadata or {})["metrics"]["near_duplicates"]
        return [found[name] for name in names]

    def groups(self) -> set[frozenset[str]]:
        """The clusters that are kept."""
        tables = NearDuplicateTables(self.lake, "kept/unique", "page", "said", 0.4, size=2)
        return _groups(tables.clusters().collect())

    def all_at_once(self) -> set[frozenset[str]]:
        """The clusters of a search in all rows that there are."""
        df = self.lake.table("raw/pages").snapshot().dataframe(self.spark)
        return _groups(sm.dedup.near_duplicates(df, "page", "said", 0.4, size=2).collect())


def _groups(rows: list[Any]) -> set[frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[row["cluster"]].add(row["page"])
    return {frozenset(pages) for pages in found.values()}


@pytest.fixture
def nights(spark: SparkSession, tmp_path: Path) -> Nights:
    return Nights(spark, tmp_path)


@pytest.mark.slow
def test_three_nights_and_the_second_again(nights: Nights) -> None:
    one, two, three = NIGHTS
    for date in NIGHTS:
        assert nights.run(date)[0] == "done"
        if date == two:
            assert nights.removed() == {"a3": ("a2", "a1"), "d1": ("d2", "d1")}
            assert nights.figures("rows", "survived", "new", "deleted", "clusters") == [
                *(3, 1, 3, 0, 2)
            ]
            # Upkeep changes nothing of what is kept.
            assert maintain(nights.lake.table("kept/unique/clusters"), ()).compacted
    # `a2` and `b1` were published before their clusters became one.
    assert nights.published() == {one: ["a2", "b1", "c1"], two: ["d2"], three: ["f1"]}
    assert nights.removed() == {"d3": ("d2", "d1"), "e1": ("a2", "a1")}
    assert nights.figures("new", "merged", "clusters") == [3, 1, 3]
    assert nights.figures("largest") == [[["a1", 5], ["d1", 3]]]
    expected = {frozenset(x) for x in (["a1", "a2", "a3", "b1", "e1"], ["d1", "d2", "d3"])}
    assert nights.groups() == expected | {frozenset(["c1"]), frozenset(["f1"])}
    assert nights.groups() == nights.all_at_once()
    page = next((nights.folder / "lake/_artifacts/report").rglob("report.html")).read_text()
    assert "Clusters that became part of others" in page
    assert nights.run(two)[0] == "up to date"
    # Of the second night one row is as it was, one is new; the survivor `d2` and its twin go.
    nights.write(two, {"a3": (A.upper(), 9), "b2": (B, 1)})
    assert nights.run(two) == ("done", "input raw/pages changed (version 1 → 3)")
    assert nights.figures("new", "deleted", "survived") == [1, 2, 0]
    assert nights.published()[three] == ["f1"] and two not in nights.published()
    assert nights.groups() == nights.all_at_once()
    # The third night had a row that was removed in favour of `d2`; the first had none.
    status, reason = nights.run(three)
    assert (status, reason) == (
        *("done",),
        f"rows that survived instead of its own went when day = '{two}' ran again",
    )
    assert nights.published()[three] == ["d3", "f1"]
    assert [nights.run(date)[0] for date in (one, two, three)] == ["up to date"] * 3
    # `b1` was published before `e1` made it a copy of `a2`.
    assert nights.run(one, force=True)[0] == "done"
    assert nights.published()[one] == ["a2", "c1"]
    runs = {row["run_id"] for row in ledger.read(nights.lake) if row["stage"] == "unique"}
    found = [_replayed(nights.lake, run) for run in sorted(runs) if _ran(nights.lake, run)]
    assert found == [[("same", "")]] * 6


def _replayed(lake: Lake, run_id: str) -> list[tuple[str, str]]:
    """Of the stage that is tested."""
    replay = Replay(lake, run_id)
    replay.lines = [line for line in replay.lines if line["stage"] == "unique"]
    return [(outcome.status, outcome.reason) for outcome in replay.stages()]


def _ran(lake: Lake, run_id: str) -> bool:
    rows = (row for row in ledger.read(lake) if row["run_id"] == run_id)
    return any(row["stage"] == "unique" and row["status"] == ledger.SUCCEEDED for row in rows)


@pytest.mark.slow
def test_the_first_run_takes_all_days_up_to_its_own(nights: Nights) -> None:
    one, two, three = NIGHTS
    for date in NIGHTS:
        nights.run(date, only="ingest")
    assert nights.run(two)[0] == "done"
    # As night after night has it, and nothing of the third.
    assert nights.published() == {one: ["a2", "b1", "c1"], two: ["d2"]}
    assert nights.removed() == {"a1": ("a2", "a1"), "a3": ("a2", "a1"), "d1": ("d2", "d1")}
    assert nights.figures("rows", "survived", "new", "clusters") == [7, 4, 7, 4]
    assert _replayed(nights.lake, nights.run_id()) == [("same", "")]
    assert nights.run(two)[0] == "up to date"
    # A day before it is as it was.
    assert nights.run(one)[0] == "done"
    assert nights.figures("rows", "new", "deleted") == [4, 0, 0]
    assert nights.run(three)[0] == "done"
    assert nights.published() == {one: ["a2", "b1", "c1"], two: ["d2"], three: ["f1"]}
    assert nights.groups() == nights.all_at_once()
    kept = nights.lake.table("kept/unique/clusters")
    assert len(list(kept.commits())) == 2
    # What is kept is nothing without the table that was made of it: all days at once.
    (nights.folder / "lake/unique").rename(nights.folder / "gone")
    assert nights.run(three)[0] == "done"
    assert nights.published() == {one: ["a2", "c1"], two: ["d2"], three: ["f1"]}
    assert set(nights.removed().values()) == {("a2", "a1"), ("d2", "d1")}
    assert nights.groups() == nights.all_at_once()
    tables = NearDuplicateTables(nights.lake, "kept/unique", "page", "said", 0.4, size=2)
    parts = {row["page"]: row["part"] for row in tables.members().collect()}
    assert parts == {page: f'{{"day": "{day}"}}' for day, rows in NIGHTS.items() for page in rows}


@pytest.mark.slow
def test_a_night_killed_between_its_commits(nights: Nights, kill_at: Callable[..., None]) -> None:
    """After what is kept was committed, and what was removed, but before the main table was."""
    one, two, _ = NIGHTS
    nights.run(one)
    log = nights.folder / "lake/removed/unique/_delta_log"
    kill_at(
        log / f"{1:020}.json", nights.file, nights.folder / "lake", "run", str(nights.file),
        *("--date", two),
    )  # fmt: skip
    assert list(nights.published()) == [one]
    assert nights.groups() == nights.all_at_once()
    assert nights.run(two)[0] == "done"
    assert nights.published() == {one: ["a2", "b1", "c1"], two: ["d2"]}
    assert nights.removed() == {"a3": ("a2", "a1"), "d1": ("d2", "d1")}
    # What the killed run had done is known.
    assert nights.figures("new", "deleted", "new_clusters") == [3, 0, 1]
    kept = nights.lake.table("kept/unique/clusters")
    assert [commit.version for commit in kept.commits()] == [1, 0]


@pytest.mark.slow
def test_what_cannot_be(nights: Nights, spark: SparkSession) -> None:
    one, two, three = NIGHTS
    nights.run(one)
    nights.write(two, {"a1": ("another text of a page that was there", 1)})
    with pytest.raises(DataError, match="id 'a1' is in the tables of kept/unique already"):
        nights.run(two)
    (nights.folder / "lake/kept").rename(nights.folder / "gone")
    with pytest.raises(VersionError, match="what was kept of them in kept/unique is gone"):
        nights.run(three)
    nights.file.write_text(nights.file.read_text().replace("day = '", "day > '"))
    with pytest.raises(ConfigError, match=r"incremental needs output\.replace"):
        load_pipeline(nights.file, date=one)
