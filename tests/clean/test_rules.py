"""Row rules against a table worked out by hand, and sources that keep their types."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.clean.reading import good_rows, read_source
from sparkmine.clean.rules import column_checks, expression_check, with_reasons
from sparkmine.errors import ConfigError, SourceColumnsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAN = float("nan")
ROWS = [
    (1, "12", 5.0, "a"),
    (2, "abc", NAN, "b"),
    (3, "200", None, None),
    (4, None, -1.0, "z"),
    (None, "-3", 0.0, "a"),
]
BROKEN = {
    1: [],
    2: [("type long", "age"), ("maximum 10", "x")],
    3: [("maximum 150", "age")],
    4: [("minimum 0", "x"), ("allowed", "shop"), ("a has no debts", "")],
    None: [("not_null", "id"), ("minimum 0", "age")],
}


def test_reasons_by_hand(spark: SparkSession) -> None:
    df = spark.createDataFrame(ROWS, "id int, age string, x double, shop string")
    checks = [
        *column_checks("id", not_null=True),
        *column_checks("age", type_name="long", minimum=0, maximum=150),
        *column_checks("x", minimum=0, maximum=10),
        *column_checks("shop", allowed=["a", "b"]),
        expression_check("a has no debts", "shop = 'a' or x >= 0"),
    ]
    rows = with_reasons(df, checks).collect()
    found = {row["id"]: [(r["rule"], r["column"]) for r in row["_reasons"]] for row in rows}
    assert found == BROKEN


def test_a_rule_over_a_column_that_is_not_there(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="reads column 'gone'"):
        with_reasons(spark.range(1), column_checks("gone", minimum=1))


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_typed_sources(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    rows = [(1, 2.5, datetime.date(2026, 1, 2)), (2, None, None)]
    path = str(tmp_path / kind)
    spark.createDataFrame(rows, "id int, x float, day date").write.format(kind).save(path)
    columns = {"x": "double", "id": "bigint", "day": "date"}
    read = good_rows(read_source(spark, path, kind, columns, {}), columns)
    assert read.dtypes == list(columns.items())
    assert sorted((row["id"], row["x"], row["day"]) for row in read.collect()) == rows
    with pytest.raises(SourceColumnsError, match="'x' is float, declared is int"):
        read_source(spark, path, kind, {**columns, "x": "int"}, {})
    with pytest.raises(SourceColumnsError, match=r"missing \['more'\]"):
        read_source(spark, path, kind, {**columns, "more": "int"}, {})
