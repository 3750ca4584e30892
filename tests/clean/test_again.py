"""Rows of a text source that are read again as the source is declared now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.clean.again import REMOVED, ROW, parsed_again
from sparkmine.clean.quarantine import quarantine
from sparkmine.clean.reading import read_source
from sparkmine.clean.rules import REASONS
from sparkmine.clean.values import ColumnFormat

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake


def test_rows_are_read_again(spark: SparkSession, lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "rows" / "day=2" / "rows.csv"
    file.parent.mkdir(parents=True)
    file.write_text("name,price\n'a,b',1.5\nc,\"2,5\"\nd,none\ne,1,2,3\n")
    columns = {"price": "double", "name": "string", "day": "int"}
    read = read_source(spark, str(tmp_path / "rows"), "csv", columns, {})
    table = lake.table("quarantine/rows")
    tally = quarantine(
        read.rows, table, run_id="r", stage="rows", fingerprint="f", source=read.source
    )
    assert (tally.rows, tally.quarantined) == (4, 4)
    rows = table.snapshot().dataframe(spark)
    # Another sign around values, and another decimal sign, which refuses 1.5.
    now = {"price": ColumnFormat(type="double", decimal=","), "name": "string", "day": "int"}
    names = ["price", "name", "file", "day"]
    judged = parsed_again(rows, now, names, "csv", {"quote": "'"}, "file")
    assert judged.columns == [*rows.columns, REASONS, REMOVED, ROW]
    again = judged.collect()
    assert {row[ROW].file.rsplit("/", 1)[1] for row in again} == {"rows.csv"}
    found = {tuple(row[ROW])[:3]: [r.column for r in row[REASONS]] for row in again}
    assert found == {
        (None, "a,b", 2): ["price"],
        (2.5, "c", 2): [],
        (None, "d", 2): ["price"],
        (1.0, "e", 2): [""],
    }


def test_columns_called_as_ours_come_back(spark: SparkSession, lake: Lake, tmp_path: Path) -> None:
    from pyspark.sql import functions as F

    names = ["_row", "_again", "_reasons", "_quarantined", "_unreadable", "_source"]
    file = tmp_path / "rows.csv"
    file.write_text(",".join(names) + "\n1,2,3,4,5,north\n1,2,3,4\n")
    read = read_source(spark, str(file), "csv", dict.fromkeys(names, "int"), {})
    table = lake.table("quarantine/rows")
    quarantine(
        read.rows,
        table,
        run_id="r",
        stage="rows",
        fingerprint="f",
        source=read.source,
        row={name: name for name in read.columns},
        reasons=read.rows[read.reasons],
        bad=F.size(read.reasons) > 0,
    )
    now = {**dict.fromkeys(names, "int"), "_source": "string"}
    judged = parsed_again(table.snapshot().dataframe(spark), now, names, "csv", {}).collect()
    rows = {tuple(row[ROW]): [r.rule for r in row[REASONS]] for row in judged}
    assert rows == {
        (1, 2, 3, 4, 5, "north"): [],
        (1, 2, 3, 4, None, None): ["unreadable row"],
    }
