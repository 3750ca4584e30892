"""Texts as values: what Spark's `try_cast` takes, Arrow takes too, and nothing else."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from sparkmine.expr import col, evaluate, to_column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LONGS = [
    *("7", " 7 ", "\t7\n", "\x007\x1f", "7\x7f", "\u00a07", "\u30007", "+7", "-7", "+-7", "- 7"),
    *("+", "007", "-0", "", " ", "7.", "7.0", ".7", "3.7", "1e3", "1,000", "0x10", "7L"),
    *("\u0667", "9007199254740993", "9223372036854775807", "9223372036854775808"),
    *("-9223372036854775808", "-9223372036854775809", "00009223372036854775807"),
    *("99999999999999999999", "NaN", "inf", "7 7"),
]
DOUBLES = [
    *("1.5", "1.5f", "1.5d", "1D", "1F", "1.5ff", "1e400", "-1e400", "1e-400", "1e", "1e+5"),
    *("1E5", "5.", ".5", ".", "+.5e1", "-0.0", "nan", "NAN", "NaN", "+NaN", "-NaN", "-nan"),
    *("inf", "INF", "+Inf", "-inf", "infinity", "-Infinity", "infin", "0x1p3", "-0x1.8P1", "0x1"),
    *("0x1p9999", "1.7976931348623159e308", "4.9e-324", "0.1234567890123456789012345", "1_000"),
    *("infd", "0x1p3f", " inf ", "\u00a01.5", "1.5\x7f", "\x001.5\x1f", "1.5 d"),
    *("123456789012345678901234567890",),
]
BOOLEANS = [
    *("true", "T", " Yes ", "y", "1", "false", "F", "no", "N", "0", "on", "off", "2"),
    *("\x7ftrue\x00", "\u00a0true", "truex", "01"),
]
DATES = [
    *("2026-01-02", " 2026-1-2 ", "2026-1", "2026", "2026-02-30", "2024-2-29", "2023-02-29"),
    *("2026-01-02T", "2026-01-02 ", "2026-01-02Tx\ny", "2026-01-02 12:00", "2026-01-02x"),
    *("2026-", "2026-1T", "02026-01-02", "0026-01-02", "0000-01-01", "026-01-02", "12026-01-02"),
    *("+2026-01-02", "-2026-01-02", "9999999-12-31", "12345678-01-01", "2026-00-01"),
    *("2026-13-01", "2026-01-00", "2026-001-02", "2026-01-002", "2026/01/02", "+", "-"),
    *("2026-01-02t12:00", "\x7f2026\x00", "5881580-07-11", "5881580-07-12", "1582-10-10"),
    *("0001-01-01", "2026--1", "2\u066626-01-01"),
]
TIMES = [
    *("2026-01-02 10:30:15", "2026-01-02T10:30", "2026-01-02 1:2:3", "2026-01-02 10"),
    *("2026-01-02 10:", "2026-01-02 24:00:00", "2026-01-02 23:60:00", "2026-01-02 10:30:15."),
    *("2026-01-02 10:30:15.1", "2026-01-02 10:30:15.1234567", "2026-01-02 10:30:15.123456999Z"),
    *("2026-01-02  10:30", "2026-01-02 10:30:15Z", "2026-01-02 10:30Z", "2026-01-02Z"),
    *("2026-01-02 10:30:15 Z", "2026-01-02 10:30:15+01:00", "2026-01-02 10:30:15-1:30"),
    *("2026-01-02 10:30:15+01:3", "2026-01-02 10:30:15+0130", "2026-01-02 10:30:15+1"),
    *("2026-01-02 10:30:15+01:02:03", "2026-01-02 10:30:15+18:00", "2026-01-02 10:30:15+18:01"),
    *("2026-01-02 10:30:15+01:60", "2026-01-02 10:30:15UTC", "2026-01-02 10:30:15 UTC+1"),
    *("2026-01-02 10:30:15.5 GMT-03:30", "2026-01-02 10:30:15 UT", "2026-01-02 10:30:15 UTC 1"),
    *("2026-01-02 10:30:15 utc", "2026-07-02 10:30:15 Europe/Berlin"),
    *("2026-03-29 02:30:00 Europe/Berlin", "2026-10-25 02:30:00 Europe/Berlin"),
    *("2026-01-02 10:30:15 PST", "2026-01-02 10:30:15 EST", "2026-01-02 10:30:15 Mars/Base"),
    *("2026-01-02 10:30:15.5.5", "2026-01-02 10:30:15:00", "0026-01-02 10:30:15"),
    *("12026-01-02 10:30:15", "-0044-03-15 12:00:00", "294247-01-10 04:00:54"),
    *("294247-01-10 04:00:55", "999999-01-01", "1000000-01-01"),
    *("12345-07-01 12:00:00 Europe/Berlin", "T", "T25", "+T10", " T10:30", "10", "x"),
    *("1:2:3:4:5", "2026-01-02 10:30:15+1:00 ", "100:00", "2026-01-02 010:30"),
    *("2026-01-02 10:030", "2026-01-02 10:30:015", "1:2:3x", "-10:30"),
]
CASES = {
    "long": LONGS,
    "double": [*LONGS, *DOUBLES],
    "boolean": BOOLEANS,
    "date": DATES,
    "timestamp": [*DATES, *TIMES],
}
KINDS = {"date": pa.int32(), "timestamp": pa.int64()}  # Python has not all of their years


@pytest.mark.parametrize("to", CASES)
def test_both_engines_take_the_same_texts(spark: SparkSession, to: str) -> None:
    texts = [*dict.fromkeys(CASES[to]), None]
    table = pa.table({"t": pa.array(texts)})
    cast = col("t").cast(to)
    df = spark.createDataFrame(table).coalesce(1)
    wanted = df.select(to_column(cast).alias("v")).toArrow().column("v")
    found = evaluate(cast, table)
    if to in KINDS:
        wanted, found = (values.cast(KINDS[to]) for values in (wanted, found))
    pairs = zip(texts, wanted.to_pylist(), found.to_pylist(), strict=True)
    unlike = [one for one in pairs if str(one[1]) != str(one[2])]
    assert not unlike
    large = evaluate(cast, pa.table({"t": pa.array(texts, pa.large_string())}))
    assert str(large.cast(found.type).to_pylist()) == str(found.to_pylist())


def test_texts_by_hand() -> None:
    def one(text: str, to: str) -> object:
        return evaluate(col("t").cast(to), pa.table({"t": [text]}))[0].as_py()

    assert [one(text, "long") for text in ("3.7", "1e3", "9007199254740993", " +07")] == [
        *(None, None, 9007199254740993, 7)
    ]
    assert one("1e3", "double") == 1000.0 and one("0x1p3", "double") == 8.0
    assert math.isnan(one("nan", "double"))  # type: ignore[arg-type]
    assert one("2026-2", "date") == datetime.date(2026, 2, 1)
    noon = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)
    assert one("2026-07-01 14:00:00 Europe/Berlin", "timestamp") == noon


def test_a_time_without_a_date_is_of_today(spark: SparkSession) -> None:
    texts = ["T10", "10:30", "T10:30:15", "10:30:15+01:00", "23:30:00 Pacific/Kiritimati"]
    table = pa.table({"t": texts})
    cast = col("t").cast("timestamp")
    before = evaluate(cast, table).to_pylist()
    column = spark.createDataFrame(table).coalesce(1).select(to_column(cast).alias("v"))
    assert column.toArrow().column("v").to_pylist() in (before, evaluate(cast, table).to_pylist())
