"""Parquet files of one source that do not have the same columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkmine.clean.reading import good_rows, read_source
from sparkmine.errors import DataError, SourceColumnsError
from sparkmine.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = {"id": "bigint", "name": "string"}
FIRST = {"id": pa.array([1], pa.int64()), "name": ["a"]}


def write(folder: Path, *tables: dict[str, Any]) -> Path:
    """Files a.parquet, b.parquet, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for letter, table in zip("abc", tables, strict=False):
        pq.write_table(pa.table(table), folder / f"{letter}.parquet")
    return folder


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"id": pa.array([2]), "name": ["b"], "more": [1]}, r"not declared \['more'\]"),
    ({"id": pa.array([2])}, r"missing \['name'\]"),
    ({"id": pa.array([2], pa.int32()), "name": ["b"]}, r"'id' is int, in .*a\.parquet it is big"),
    ({"id": ["2"], "name": ["b"]}, r"column 'id' is string, in .*a\.parquet it is bigint"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_a_file_unlike_the_first(
    spark: SparkSession, tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    path = str(write(tmp_path / "rows", FIRST, other))
    with pytest.raises(SourceColumnsError, match=rf"b\.parquet.*{message}"):
        read_source(spark, path, "parquet", COLUMNS, {})


def test_files_that_go_together(spark: SparkSession, tmp_path: Path) -> None:
    write(tmp_path / "day=2024-01-01", FIRST, {"name": ["b"], "id": pa.array([2])})
    write(tmp_path / "day=2024-01-02", {"id": pa.array([3]), "name": ["c"], "more": [7]})
    (tmp_path / "_SUCCESS").touch()
    columns = {**COLUMNS, "day": "date"}
    path = str(tmp_path)
    with pytest.raises(SourceColumnsError, match=r"day=2024-01-02/a\.parquet .*\['more'\].*allow"):
        read_source(spark, path, "parquet", columns, {})
    read = read_source(spark, path, "parquet", columns, {}, allow_new_columns=True)
    rows = good_rows(read, columns).collect()
    found = sorted((row.id, row.name, row.day.day, row.more) for row in rows)
    assert found == [(1, "a", 1, None), (2, "b", 1, None), (3, "c", 2, 7)]
    # A declared column does not become null.
    declared = {**columns, "more": "bigint"}
    with pytest.raises(SourceColumnsError, match=r"day=2024-01-01/a\.parquet .*\['more'\]"):
        read_source(spark, path, "parquet", declared, {}, allow_new_columns=True)
    write(tmp_path / "day=2024-01-02", {"id": pa.array([3]), "name": ["c"], "day": ["x"]})
    with pytest.raises(SourceColumnsError, match="'day' is in the files and in the names of"):
        read_source(spark, path, "parquet", columns, {})


def test_a_damaged_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path / "rows", FIRST, FIRST)
    raw = (folder / "b.parquet").read_bytes()
    (folder / "b.parquet").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"rows: a file of it cannot be read .*b\.parquet"):
        read_source(spark, str(folder), "parquet", COLUMNS, {})


def test_a_file_that_breaks_while_it_is_read(spark: SparkSession, tmp_path: Path) -> None:
    """It is a source's: nothing can be restored."""
    file = write(tmp_path / "day=1", {"id": list(range(1000))}) / "a.parquet"
    raw = bytearray(file.read_bytes())
    raw[4:200] = bytes(196)
    file.write_bytes(raw)
    read = read_source(spark, str(tmp_path), "parquet", {"id": "bigint", "day": "int"}, {})
    lines = Lake(tmp_path.parent / "lake", spark).table("raw/rows")
    with pytest.raises(DataError, match=r"day=1/a\.parquet: the file cannot be read.*source"):
        lines.write(read.rows.select("id"))
