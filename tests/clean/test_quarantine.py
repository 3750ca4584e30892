"""What is kept of bad rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.clean import ColumnRule, Condition, Contract
from sparkmine.clean.quarantine import quarantine
from sparkmine.clean.reading import read_source
from sparkmine.clean.repair import Repair, repaired
from sparkmine.clean.rules import FAIL, QUARANTINE, broken
from sparkmine.errors import ConfigError
from sparkmine.lake.input_metrics import InputMetrics

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
    tally = quarantine(
        read.rows, table, run_id="r", stage="rows", fingerprint="f", source=read.source
    )
    assert (tally.rows, tally.quarantined) == (3, 2)
    rows = table.snapshot().dataframe(spark).collect()
    kept = {row["reasons"][0]["rule"]: json.loads(row["row"]) for row in rows}
    assert kept["type int"] == {"id": None, "day": "soon"}
    assert kept["unreadable row"]["_corrupt"] == SOURCES[kind].splitlines()[-1]


def test_columns_called_as_ours_are_kept_as_they_came(spark: SparkSession, lake: Lake) -> None:
    from pyspark.sql import functions as F

    rows = [(1, "no", "x", "a"), (-1, "yes", "y", "b"), (-1, "yes", "y", "c")]
    schema = "id int, _bad string, _repeated_0 string, _came_0 string"
    contract = Contract(columns={"id": ColumnRule(minimum=0, unique=True)})
    repairs = {"_came_0": Repair(text=("upper",))}
    mended = repaired(spark.createDataFrame(rows, schema), repairs)
    checked = contract.check(mended.rows, columns=mended.columns)
    table = lake.table("quarantine/rows")
    quarantine(
        checked.rows,
        table,
        run_id="r",
        stage="rows",
        fingerprint="f",
        source=F.lit("raw/rows@0"),
        row=mended.came,
        reasons=checked.reasons,
        bad=broken(checked.of(FAIL, QUARANTINE)),
    )
    kept = [json.loads(row.row) for row in table.snapshot().dataframe(spark).collect()]
    wanted = [{"id": -1, "_bad": "yes", "_repeated_0": "y", "_came_0": came} for came in "bc"]
    assert sorted(kept, key=lambda row: row["_came_0"]) == wanted
    assert [tuple(row) for row in checked.kept.collect()] == [(1, "no", "x", "A")]
    with pytest.raises(ConfigError, match="has a column '_reasons'"):
        _ = Contract().check(spark.range(1).toDF("_reasons")).judged


def test_both_tables_cost_two_scans(spark: SparkSession, lake: Lake) -> None:
    from pyspark.sql import functions as F

    rows = 20_000
    table = lake.table("raw/rows")
    table.write(spark.range(rows).selectExpr("id", "id % 100 as x", "cast(id as string) as s"))
    contract = Contract(
        columns={
            "id": ColumnRule(minimum=0),
            "x": ColumnRule(type="double", maximum=98),
            "s": ColumnRule(type="long", not_null=True),
        },
        conditions={"no tens": Condition(holds="x <> 10", severity="drop")},
    )
    read = InputMetrics(spark)
    with read.counting():
        checked = contract.check(table.snapshot().dataframe(spark))
        tally = quarantine(
            checked.rows,
            lake.table("quarantine/rows"),
            run_id="r",
            stage="s",
            fingerprint="f",
            source=F.lit("raw/rows@0"),
            reasons=checked.reasons,
            bad=broken(checked.of(FAIL, QUARANTINE)),
        )
        lake.table("clean/rows").write(checked.kept)
    assert (tally.rows, tally.quarantined) == (rows, rows // 100)
    # Beside the rows, those of the quarantine for its reasons, and some lines of Delta's logs.
    assert 2 * rows <= read.rows < 2 * rows + rows // 100 + 1000
