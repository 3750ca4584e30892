"""What is kept of bad rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.clean.quarantine import quarantine
from sparkmine.clean.reading import read_source
from sparkmine.clean.text_sources import PATH

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake

SOURCES = {
    "csv": "id,day\n1,2\n,soon\n3,4,5\n",
    "json": '{"id": 1, "day": 2}\n{"id": null, "day": "soon"}\n{"id": 3, "day": 4\n',
}


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_rows_are_kept_as_they_came(
    spark: SparkSession, lake: Lake, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"rows.{kind}"
    file.write_text(SOURCES[kind])
    read = read_source(spark, str(file), kind, {"id": "int", "day": "int"}, {})
    table = lake.table("quarantine/rows")
    tally = quarantine(read, table, run_id="r", stage="rows", fingerprint="f", source=PATH)
    assert (tally.rows, tally.quarantined) == (3, 2)
    rows = table.snapshot().dataframe(spark).collect()
    kept = {row["reasons"][0]["rule"]: json.loads(row["row"]) for row in rows}
    assert kept["type int"] == {"id": None, "day": "soon"}
    assert kept["unreadable row"]["_corrupt"] == SOURCES[kind].splitlines()[-1]
