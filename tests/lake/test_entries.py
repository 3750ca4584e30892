"""The files of a version by the log itself, against what Delta says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import DataFrame

from sparkmine.lake import Lake, entries, log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def path(spark: SparkSession, lake: Lake) -> str:
    """Versions 0 to 7, with a checkpoint at 3 and at 6."""
    table = lake.table("odd/days")

    def write(rows: list[tuple[int, str | None]], mode: str, **more: Any) -> None:
        df = spark.createDataFrame(rows, "n int, day string").coalesce(1)
        table.write(df, mode, partition_by=["day"], **more)

    write([(1, "a/b c"), (2, None), (3, "x=%")], "overwrite")
    spark.sql(
        f"alter table delta.`{table.path}` set tblproperties ('delta.checkpointInterval' = '3')"
    )
    write([(4, "a/b c"), (5, "ä")], "append")
    write([(6, "a/b c")], "replace_where", replace_where="day = 'a/b c'")
    write([(7, None)], "append")
    spark.sql(f"delete from delta.`{table.path}` where n = 5")
    spark.sql(f"restore delta.`{table.path}` to version as of 2")
    write([(8, "last")], "append")
    return table.path


def test_files_are_those_of_delta(spark: SparkSession, path: str) -> None:
    folder = Path(path) / "_delta_log"
    assert sorted(file.name[:20] for file in folder.glob("*.checkpoint.parquet")) == [
        f"{version:020}" for version in (3, 6)
    ]
    for version in range(8):
        frame = DataFrame(log._jvm_snapshot(spark, path, version).allFiles().toDF(), spark)
        wanted = [row.asDict(recursive=True) for row in frame.select(*entries._COLUMNS).collect()]
        found = entries.files(path, version)
        assert found is not None and _plain(found) == _plain(wanted)


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    read = [{**row, "stats": json.loads(row["stats"])} for row in rows]
    return sorted(read, key=lambda row: str(row["path"]))


def test_what_is_not_plain_is_left_to_delta(path: str) -> None:
    folder = Path(path) / "_delta_log"
    assert entries.files(path, 8) is None  # there is no such version
    last = folder / f"{7:020}.json"
    last.write_text(last.read_text()[:-30])
    assert entries.files(path, 7) is None
    (folder / f"{3:020}.checkpoint.parquet").write_bytes(b"PAR1")
    assert entries.files(path, 5) is None
    assert entries.files(path, 6) is not None
