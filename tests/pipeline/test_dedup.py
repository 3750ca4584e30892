"""The stage `dedup` in a pipeline: what was removed, day by day, replays, figures, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, ledger
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.replay import Replay

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: people
warehouse: {folder}/lake
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: "${{date}}.csv"}}
    columns: {{id: int, email: string, name: string, day: string}}
    table: raw/people
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: dedup
    name: rows
    input: raw/people
    table: unique/rows
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: dedup
    name: people
    input: unique/rows
    table: unique/people
    key: email
    normalise: {{email: [spaces, lower]}}
    most_complete: true
    order_by: id desc
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: report
    name: report
    title: People
    table: reports/people
"""
DAYS = {
    "2026-01-01": ["1,Ann@x.org,,", "2,ann@x.org,Ann,", "3,bob@x.org,,", "3,bob@x.org,,"],
    "2026-01-02": ["4,ann@x.org,,", "5, ANN@x.org,,", "6,cid@x.org,Cid,", "6,cid@x.org,Cid,"],
}
KEYS = ("rows_in", "rows_out", "quarantined", "removed")


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("people")
    (folder / "people.yaml").write_text(PIPELINE.format(folder=folder))
    found = Lake(folder / "lake", spark)
    for date, lines in DAYS.items():
        rows = "\n".join(line + date for line in lines)
        (folder / f"{date}.csv").write_text(f"id,email,name,day\n{rows}\n")
        Runner(load_pipeline(folder / "people.yaml", date=date), found, lambda event: None).run()
    return found


def _lines(lake: Lake, stage: str) -> list[Any]:
    """Of the two runs, in their order."""
    found = [row for row in ledger.read(lake) if row["stage"] == stage]
    return sorted(found, key=lambda row: row["run_id"])


def _removed(spark: SparkSession, lake: Lake, stage: str) -> list[list[tuple[Any, ...]]]:
    """Of the two runs: row, survivor and copies."""
    rows = lake.table(f"removed/{stage}").snapshot().dataframe(spark).collect()
    return [
        sorted(
            (json.loads(row["row"])["id"], json.loads(row["survivor"]), row["copies"])
            for row in rows
            if (row["run_id"], row["fingerprint"]) == (line["run_id"], line["fingerprint"])
        )
        for line in _lines(lake, stage)
    ]


def test_every_day_has_its_survivors_and_what_was_removed(spark: SparkSession, lake: Lake) -> None:
    kept = lake.table("unique/people").snapshot().dataframe(spark).collect()
    assert {row["id"] for row in kept} == {2, 3, 5, 6}
    assert {row["email"] for row in kept if row["id"] == 5} == {" ANN@x.org"}
    for stage, expected in {
        "rows": [(4, 3, 0, 1), (4, 3, 0, 1)],
        "people": [(3, 2, 0, 1), (3, 2, 0, 1)],
    }.items():
        assert [tuple(line[key] for key in KEYS) for line in _lines(lake, stage)] == expected
    bob = {"id": 3, "email": "bob@x.org", "name": None, "day": "2026-01-01"}
    cid = {"id": 6, "email": "cid@x.org", "name": "Cid", "day": "2026-01-02"}
    assert _removed(spark, lake, "rows") == [[(3, bob, 1)], [(6, cid, 1)]]
    assert _removed(spark, lake, "people") == [
        [(1, {"email": "ann@x.org"}, 1)],
        [(4, {"email": " ANN@x.org"}, 1)],
    ]
    figures = [json.loads(line["metrics"])["dedup"] for line in _lines(lake, "people")]
    names = ("rows", "groups", "removed", "repeated")
    assert [[found[name] for name in names] for found in figures] == [[3, 2, 1, 1], [3, 2, 1, 1]]
    assert figures[0]["largest"] == [['{"email":"ann@x.org"}', 2]]


@pytest.mark.slow
def test_the_report_and_replays(spark: SparkSession, lake: Lake) -> None:
    pages = sorted((Path(lake.root) / "_artifacts/report").rglob("report.html"))
    text = max(pages, key=lambda page: page.stat().st_mtime).read_text()
    for word in ("Equal rows", "by whole rows", "by email", "unique/people", "Largest groups"):
        assert word in text
    assert "cid@x.org" in text and "equal to it" in text
    # The first day's, though the tables have another day by now.
    run_id = _lines(lake, "people")[0]["run_id"]
    outcomes = {found.stage: found for found in Replay(lake, run_id).stages()}
    assert {outcomes[name].status for name in ("rows", "people")} == {"same"}, outcomes


def test_choices_are_checked_before_spark_starts(tmp_path: Path) -> None:
    file = tmp_path / "people.yaml"
    (tmp_path / "2026-01-01.csv").write_text("id,email,name,day\n")
    text = PIPELINE.format(folder=tmp_path)
    for old, new, says in (
        ("most_complete: true", "most_complete: true\n    newest: id", r"stages\[2\].*newest or"),
        ("[spaces, lower]", "[lower, upper]", "either lower or upper"),
        ("[spaces, lower]", "[]", r"stages\[2\]\.normalise"),
    ):
        file.write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=says):
            load_pipeline(file, date="2026-01-01")
