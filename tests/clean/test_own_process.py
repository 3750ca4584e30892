"""Sources that want a process of their own: a driver's jar, or more memory than tests have."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.pipeline import load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

YAML = """
pipeline: database
warehouse: {folder}/lake
spark: {{spark.jars.packages: "org.xerial:sqlite-jdbc:3.47.1.0"}}
stages:
  - stage: ingest
    name: orders
    source:
      format: jdbc
      path: "jdbc:sqlite:{folder}/shop.db"
      options: {{dbtable: orders, driver: org.sqlite.JDBC, {more}}}
    columns:
      id: bigint
      price: {{type: double, decimal: ","}}
      day: date
    table: raw/orders
    max_bad_fraction: 0.5
"""


def output(file: Path) -> str:
    """What `sparkmine run` says."""
    done = subprocess.run(
        [sys.executable, "-m", "sparkmine.cli", "run", str(file)],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "SPARKMINE_MASTER": "local[2]", "SPARK_LOCAL_DIRS": str(file.parent)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_sqlite(spark: SparkSession, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (id integer, price text, day text)")
        rows = [(1, "1,5", "2026-01-31"), ("none", "2,0", None), (2**40, None, "2026-02-30")]
        database.executemany("insert into orders values (?, ?, ?)", [*rows, (4, "0,1", None)])
    file = tmp_path / "database.yaml"
    file.write_text(YAML.format(folder=tmp_path, more='fetchsize: "2"'))
    assert "orders: done, 4 rows in, 2 rows out, 2 quarantined" in output(file)
    lake = Lake(tmp_path / "lake", spark)
    found = lake.table("raw/orders").snapshot().dataframe(spark).collect()
    assert sorted((row.id, row.price) for row in found) == [(1, 1.5), (4, 0.1)]
    bad = lake.table("quarantine/orders").snapshot().dataframe(spark).collect()
    reasons = {json.loads(row.row)["id"]: row.reasons for row in bad}
    assert {name: [tuple(r) for r in found] for name, found in reasons.items()} == {
        "none": [("type bigint", "id")],
        str(2**40): [("type date", "day")],
    }
    assert {row.source for row in bad} == {f"jdbc:sqlite:{tmp_path}/shop.db orders"}


def test_passwords_stay_out_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "database.yaml"
    file.write_text(YAML.format(folder=tmp_path, more="password: secret"))
    with pytest.raises(ConfigError, match="write env:NAME"):
        load_pipeline(file)


WIDE = """
pipeline: wide
warehouse: {folder}/lake
spark: {{spark.driver.memory: 8g}}
stages:
  - stage: ingest
    name: {kind}
    source: {{format: {kind}, path: rows.{kind}}}
    columns: {{id: int, name: string}}
    table: raw/rows
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "begin", "end"),
    [
        ("csv", "id,name\n1,b\n2,", "\n3,c\n"),
        ("json", '{"id": 1, "name": "b"}\n{"id": 2, "name": "', '"}\n{"id": 3, "name": "c"}\n'),
    ],
)
def test_a_field_of_200_megabytes(
    spark: SparkSession, tmp_path: Path, kind: str, begin: str, end: str
) -> None:
    from pyspark.sql import functions as F

    with (tmp_path / f"rows.{kind}").open("w") as out:
        out.write(begin)
        for _ in range(200):
            out.write("x" * (1 << 20))
        out.write(end)
    file = tmp_path / "wide.yaml"
    file.write_text(WIDE.format(folder=tmp_path, kind=kind))
    assert f"{kind}: done, 3 rows in, 3 rows out" in output(file)
    rows = Lake(tmp_path / "lake", spark).table("raw/rows").snapshot().dataframe(spark)
    lengths = rows.select("id", F.length("name")).collect()
    assert sorted(tuple(row) for row in lengths) == [(1, 1), (2, 200 << 20), (3, 1)]
