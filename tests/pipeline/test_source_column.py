"""The file of a row, from the stage that reads it to the quarantine of a later one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError, SourceColumnsError
from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

YAML = """
pipeline: files
warehouse: {warehouse}
stages:
  - stage: ingest
    name: ingest_rows
    source: {{format: csv, path: "rows-*.csv"}}
    columns: {{id: int, price: double}}
    source_column: file
    table: raw/rows
    max_bad_fraction: 0.5
  - stage: query
    name: doubled
    sql: doubled.sql
    inputs: {{rows: raw/rows}}
    table: raw/doubled
  - stage: clean
    name: clean_rows
    input: raw/doubled
    table: clean/rows
    columns: {{twice: {{minimum: 0}}}}
    max_bad_fraction: 0.7
"""


@pytest.mark.slow
def test_the_quarantine_of_a_later_stage_names_the_file(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "rows-a.csv").write_text("id,price\n1,1.0\n2,-1.0\n")
    (tmp_path / "rows-b.csv").write_text("id,price\n3,-2.0\n4,none\n")
    (tmp_path / "doubled.sql").write_text("select id, price * 2 as twice, file from rows")
    file = tmp_path / "files.yaml"
    file.write_text(YAML.format(warehouse=tmp_path / "lake"))
    pipeline = load_pipeline(file)
    lake = Lake(pipeline.warehouse, spark)
    Runner(pipeline, lake, lambda _: None).run()

    def files(table: str, column: str) -> list[str]:
        rows = lake.table(table).snapshot().dataframe(spark).collect()
        return sorted(row[column].rsplit("/", 1)[1] for row in rows)

    assert files("quarantine/clean_rows", "source") == ["rows-a.csv", "rows-b.csv"]
    assert files("clean/rows", "file") == ["rows-a.csv"]
    # A row of the source that is sent again keeps its file.
    side = lake.table("quarantine/ingest_rows")
    spark.sql(f"update delta.`{side.path}` set row = replace(row, 'none', '4.0')")
    assert Runner(pipeline, lake, lambda _: None).again("raw/rows").released == 1
    assert files("raw/rows", "file") == ["rows-a.csv", "rows-a.csv", "rows-b.csv", "rows-b.csv"]


def test_the_name_of_the_column_is_free(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "rows-a.csv").write_text("id,price,file\n1,1.0,x\n")
    file = tmp_path / "files.yaml"
    (tmp_path / "doubled.sql").write_text("select id, price as twice, file from rows")
    file.write_text(YAML.format(warehouse=tmp_path / "lake"))
    with pytest.raises(ConfigError, match="source_column 'id' is among `columns`"):
        load_pipeline(file, settings=("ingest_rows.source_column=id",))
    pipeline = load_pipeline(file, settings=("ingest_rows.allow_new_columns=true",))
    with pytest.raises(SourceColumnsError, match="has a column 'file'; name another"):
        Runner(pipeline, Lake(pipeline.warehouse, spark), lambda _: None).run()
