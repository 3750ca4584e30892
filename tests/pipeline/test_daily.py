"""A table that is cleaned day by day: keys, rules of the whole table, rows sent again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.errors import ContractError
from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

YAML = """
pipeline: daily
warehouse: {warehouse}
stages:
  - stage: ingest
    name: ingest_heads
    source: {{format: csv, path: heads.csv}}
    columns: {{id: int, shop: string}}
    table: raw/heads
  - stage: ingest
    name: ingest_lines
    source: {{format: csv, path: lines.csv}}
    columns: {{id: int, line: int, shop: string, price: string, made: date, day: date}}
    table: raw/lines
  - stage: clean
    name: clean_lines
    input: raw/lines
    table: clean/lines
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
    repair: {{shop: {{text: [control]}}}}
    columns:
      price: {{type: double, severity: warn, max_null_fraction: 0.5}}
      made: {{max_age_days: 30}}
      shop: {{max_psi: 100}}
    conditions: {{sold: {{holds: line < 9, severity: drop}}}}
    unique: {{a line: [id, line]}}
    references:
      a known order: {{columns: [id, shop], table: raw/heads, key: [id, shop]}}
    rows: {{minimum: 1}}
    max_bad_fraction: 1.0
"""
HEADS = "id,shop\n1,north\n2,so uth\n"
# Control characters go, tabs become spaces; keys are there once a day.
LINES = """id,line,shop,price,made,day
1,1,nor\u0007th,5.0,2026-01-01,2026-01-05
1,2,north,NaN,2026-01-01,2026-01-05
2,1,so\tuth,none,2026-01-01,2026-01-05
2,2,so\t\u0085uth,,2026-01-01,2026-01-05
2,3,south,1.0,2026-01-01,2026-01-05
1,3,north,1.0,2026-01-01,2026-01-05
1,3,north,2.0,2026-01-01,2026-01-05
1,4,north,2.0,2026-01-02,2026-01-05
1,1,north,6.0,2026-01-06,2026-01-06
3,1,north,6.0,2026-01-06,2026-01-06
3,1,north,7.0,2026-01-06,2026-01-06
"""
FIRST, SECOND = "2026-01-05", "2026-01-06"


@pytest.fixture(scope="module")
def daily(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline's file, after a run of each day."""
    folder = tmp_path_factory.mktemp("daily")
    (folder / "heads.csv").write_text(HEADS)
    (folder / "lines.csv").write_text(LINES)
    file = folder / "daily.yaml"
    file.write_text(YAML.format(warehouse=folder / "lake"))
    for day in (FIRST, SECOND):
        runner(spark, file, day).run()
    return file


def runner(spark: SparkSession, file: Path, day: str, *settings: str) -> Runner:
    pipeline = load_pipeline(file, settings=settings, date=day)
    return Runner(pipeline, Lake(pipeline.warehouse, spark), lambda _: None)


def kept(run: Runner, day: str) -> list[tuple[Any, ...]]:
    rows = run.lake.table("clean/lines").snapshot().dataframe(run.lake.spark)
    found = rows.where(f"day = '{day}'").select("id", "line", "shop", "price").collect()
    return sorted(str(tuple(row)) for row in found)


def test_keys_of_several_columns(spark: SparkSession, daily: Path) -> None:
    run = runner(spark, daily, FIRST)
    assert kept(run, FIRST) == [
        "(1, 1, 'north', 5.0)",
        "(1, 2, 'north', nan)",
        "(1, 4, 'north', 2.0)",
        "(2, 1, 'so uth', None)",
        "(2, 2, 'so uth', None)",
    ]
    assert kept(run, SECOND) == ["(1, 1, 'north', 6.0)"]
    first, second = (
        (commit.metadata or {})["metrics"]
        for commit in sorted(run.lake.table("clean/lines").commits(), key=lambda c: c.version)
    )
    assert first["reasons"] == {"a line": 2, "a known order": 1}
    assert first["warned"] == {"type double (price)": 1}
    assert first["repairs"] == {"shop": 3}
    # NaN, no number, and none: as they are in the clean table.
    assert first["missing"]["price"] == 3 / 8
    assert second["reasons"] == {"a known order": 2, "a line": 2}


BROKEN = {
    "min_rows: 8 rows, at least 9": ["rows.minimum=9"],
    "max_null_fraction (price): 37.50% are missing": [
        "columns.price.max_null_fraction=0.37",
        "columns.price.severity=quarantine",
    ],
    "max_age_days (made): the newest is 3.0 days old": ["columns.made.max_age_days=2"],
    "max_psi (shop): PSI": ["columns.shop.max_psi=0.5", "conditions.sold.holds=id = 1"],
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_rule_of_the_whole_table_fails_the_stage(
    spark: SparkSession, daily: Path, text: str
) -> None:
    run = runner(spark, daily, FIRST, *(f"clean_lines.{one}" for one in BROKEN[text]))
    before = run.lake.table("clean/lines").snapshot().version
    with pytest.raises(ContractError) as caught:
        run.run(only="clean_lines")
    assert caught.value.code == "CONTRACT_BROKEN"
    assert text in str(caught.value) and "the clean table is as it was" in str(caught.value)
    assert run.lake.table("clean/lines").snapshot().version == before


def test_rows_of_a_day_are_sent_again(spark: SparkSession, daily: Path) -> None:
    """The key that another day has is free; that of a row of the same day is not."""
    run = runner(spark, daily, SECOND)
    side = run.lake.table("quarantine/clean_lines")
    for price, line in ((6, 2), (7, 1)):
        new = f'"id":1,"line":{line}'
        spark.sql(
            f"update delta.`{side.path}` set row = replace(row, '\"id\":3,\"line\":1', '{new}') "
            f"where row like '%{price}.0%'"
        )
    sent = run.again("clean/lines")
    assert (sent.rows, sent.released, sent.kept) == (2, 1, 1)
    assert kept(run, SECOND) == ["(1, 1, 'north', 6.0)", "(1, 2, 'north', 6.0)"]
    assert len(kept(run, FIRST)) == 5
