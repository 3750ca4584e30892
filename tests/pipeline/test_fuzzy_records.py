"""The stage `fuzzy_records` in a pipeline: merged rows, side tables, figures, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.csv
import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.replay import Replay
from sparkmine.testing.people import people

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: members
warehouse: {lake}
seed: 5
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: members.csv}}
    columns: {{id: bigint, first_name: string, surname: string, born: string, street: string,
      city: string, postcode: string, email: string, phone: string, updated: date, truth: bigint}}
    table: raw/members
  - stage: ingest
    name: looked_at
    source: {{format: csv, path: verified.csv}}
    columns: {{a: bigint, b: bigint, same: boolean}}
    table: raw/verified
  - stage: fuzzy_records
    name: unique
    input: raw/members
    table: unique/members
    id: id
    blocking: [born, email, [postcode, "left(surname, 2)"]]
    comparisons:
      - {{kind: full_name, columns: [first_name, surname]}}
      - {{kind: date, columns: born}}
      - {{kind: email, columns: email}}
      - {{kind: levenshtein, columns: street, thresholds: [1, 4]}}
    training: {{rules: [born, email], certain: [[email, born]], recall: 0.6, sample_pairs: 20000}}
    threshold: 0.9
    order_by: updated desc
    merge:
      - {{columns: [street, city, postcode], take: newest, by: updated}}
      - {{columns: email, take: most_frequent}}
    verified: raw/verified
  - stage: report
    name: report
    title: Members
    table: reports/members
"""


def test_mistakes_are_found_before_spark(tmp_path: Path) -> None:
    for name in ("members.csv", "verified.csv"):
        (tmp_path / name).write_text("")
    file = tmp_path / "members.yaml"
    text = PIPELINE.format(lake=tmp_path / "lake")
    for old, new, says in (
        ("kind: date", "kind: day", "stages.*there is no kind 'day'"),
        ("[born, email], c", "[], c", "at least one rule"),
        ("take: newest", "take: latest", "take is one of"),
        ("order_by:", "sort_by:", "sort_by"),
        ("threshold: 0.9", "threshold: 2", "threshold"),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=says):
            load_pipeline(file)


@pytest.mark.slow
def test_members_are_merged(spark: SparkSession, tmp_path: Path) -> None:
    table = people(400, "moderate", seed=8)
    pyarrow.csv.write_csv(table, tmp_path / "members.csv")
    ids, truth = table["id"].to_pylist(), table["truth"].to_pylist()
    lines = [
        f"{a},{b},{str(s == t).lower()}"
        for a, b, s, t in zip(ids, ids[1:], truth, truth[1:], strict=False)
    ]
    first = {name: id for id, name in zip(ids, truth, strict=True)}
    lines += [
        f"{id},{first[name]},true" for id, name in zip(ids, truth, strict=True) if first[name] != id
    ]
    (tmp_path / "verified.csv").write_text("\n".join(["a,b,same", *lines]) + "\n")
    file = tmp_path / "members.yaml"
    file.write_text(PIPELINE.format(lake=tmp_path / "lake"))
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(file), lake, lambda event: None).run()

    commit = next(iter(lake.table("unique/members").commits()))
    metadata = commit.metadata
    assert metadata is not None
    removed = lake.table("removed/unique").snapshot().dataframe(spark)
    kept = lake.table("unique/members").snapshot().dataframe(spark)
    assert metadata["rows_in"] == 400 == kept.count() + removed.count()
    assert (
        metadata["removed"]
        == removed.count()
        == 400 - metadata["metrics"]["fuzzy_records"]["clusters"]
    )
    assert kept.columns == table.column_names
    assert removed.columns == ["run_id", "fingerprint", "id", "survivor", "cluster", "gave"]
    names = {row["id"] for row in kept.select("id").collect()}
    gone = {row["id"]: row["survivor"] for row in removed.collect()}
    assert names | gone.keys() == set(range(400))
    assert set(gone.values()) <= names and not names & gone.keys()
    figures = metadata["metrics"]["fuzzy_records"]
    assert figures["verified"]["pairs"] == len(lines)
    assert min(figures["verified"]["precision"], figures["verified"]["recall"]) > 0.9
    pairs = lake.table("pairs/unique").snapshot().dataframe(spark)
    assert pairs.where("matched").count() == figures["edges"]
    assert pairs.where("a >= b or probability < 0.5").count() == 0

    page = next((Path(lake.root) / "_artifacts" / "report").rglob("report.html")).read_text()
    assert len(page.encode()) < 5_000_000
    for said in ("Fuzzy records", "unique/members", "Precision on verified pairs", "day and month"):
        assert said in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
    # The run is the same again: the model is trained anew, on the rows that it had then.
    replay = Replay(lake, metadata["run_id"])
    found = {o.stage: (o.status, o.reason) for o in replay.stages()}
    assert found["unique"] == ("same", "")
    # Nothing of Splink is left beside the tables.
    assert {path.name for path in tmp_path.iterdir()} == {
        "members.csv",
        "verified.csv",
        "members.yaml",
        "lake",
    }
