"""The stage `near_duplicates` in a pipeline: survivors, what was removed, figures, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: pages
warehouse: {lake}
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: pages.csv}}
    columns: {{page: string, said: string, day: int}}
    table: raw/pages
  - stage: near_duplicates
    name: unique
    input: raw/pages
    table: unique/pages
    id: page
    text: said
    threshold: 0.5
    size: 2
    order_by: day desc
  - stage: report
    name: report
    title: Pages
    table: reports/pages
"""
PAGES = """page,said,day
a,one two three four five six,1
b,one two three four five seven,3
c,one two three four five eight,3
d,something else entirely,1
e,,1
f,,1
g,Something ELSE entirely!,
"""


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    (tmp_path / "pages.csv").write_text(PAGES)
    file = tmp_path / "pages.yaml"
    file.write_text(PIPELINE.format(lake=tmp_path / "lake"))
    found = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(file), found, lambda event: None).run()
    return found


@pytest.mark.slow
def test_the_newest_of_a_cluster_survives(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("unique/pages")
    kept = table.snapshot().dataframe(spark).orderBy("page").collect()
    assert [row["page"] for row in kept] == ["b", "d", "e", "f"]
    assert kept[0]["said"] == "one two three four five seven"
    removed = lake.table("removed/unique").snapshot().dataframe(spark).orderBy("id")
    assert [tuple(row) for row in removed.select("id", "survivor", "cluster").collect()] == [
        ("a", "b", "a"),
        ("c", "b", "a"),
        ("g", "d", "d"),
    ]
    metadata = next(iter(table.commits())).metadata
    assert metadata is not None
    assert (metadata["rows_in"], metadata["removed"]) == (7, 3)
    figures = metadata["metrics"]["near_duplicates"]
    wanted = {"rows": 7, "without_text": 2, "distinct_texts": 4, "edges": 3, "clusters": 4}
    assert {name: figures[name] for name in wanted} == wanted
    assert figures["largest"] == [["a", 3], ["d", 2]]
    # Five pairs of words each, four of them shared: 4 of 6.
    assert {example[0] for example in figures["examples"]} == {4 / 6}
    page = next((Path(lake.root) / "_artifacts" / "report").rglob("report.html")).read_text()
    # `a`, `b` and `c` are three pairs.
    assert (figures["pairs_joined"], figures["precision"]) == (3, 1.0)
    for text in (
        "Near copies",
        "Precision, at least",
        "one two three four five eight",
        "unique/pages",
    ):
        assert text in page
