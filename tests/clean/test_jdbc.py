"""A database as a source: SQLite, by a process of its own that fetches the driver's jar."""

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


@pytest.mark.slow
def test_sqlite(spark: SparkSession, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (id integer, price text, day text)")
        rows = [(1, "1,5", "2026-01-31"), ("none", "2,0", None), (2**40, None, "2026-02-30")]
        database.executemany("insert into orders values (?, ?, ?)", [*rows, (4, "0,1", None)])
    file = tmp_path / "database.yaml"
    file.write_text(YAML.format(folder=tmp_path, more='fetchsize: "2"'))
    done = subprocess.run(
        [sys.executable, "-m", "sparkmine.cli", "run", str(file)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "SPARKMINE_MASTER": "local[2]", "SPARK_LOCAL_DIRS": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "orders: done, 4 rows in, 2 rows out, 2 quarantined" in done.stdout
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
