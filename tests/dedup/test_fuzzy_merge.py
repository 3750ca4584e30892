"""Merged fields against a table made by hand."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.dedup.fuzzy import Merge, merged
from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = [
    # id, day, name, street, city, email, phone, visits; the cluster is the first character.
    ("a1", 3, "Ann", None, None, "ann@x", None, 5),
    ("a2", 1, "Anna Lee", "1 Oak", None, "ann@y", "11", None),
    ("a3", 2, "Ann", "2 Elm", "York", "ann@y", None, 9),
    ("b1", None, None, None, None, None, None, None),
    ("b2", None, None, "3 Ash", None, None, "22", 1),
    ("c1", 9, "Carl", None, "Hull", None, None, 2),
]
SCHEMA = (
    "id string, day int, name string, street string, city string, email string, phone string, "
    "visits int"
)
MERGE = [
    Merge(columns=("name",), take="longest"),
    Merge(columns=("street", "city"), take="most_complete"),
    Merge(columns=("email",), take="most_frequent"),
    Merge(columns=("visits",), take="greatest"),
]


@pytest.fixture
def frame(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS, SCHEMA)


def clusters(df: DataFrame) -> DataFrame:
    return df.selectExpr("id", "substr(id, 1, 1) as cluster")


def rows_of(df: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, df.collect()))


@pytest.mark.parametrize("partitions", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_by_hand(frame: DataFrame, partitions: int) -> None:
    df = frame.repartition(partitions)
    found = merged(df, clusters(df), ["day desc"], MERGE)
    assert found.frame.columns == df.columns
    # Of a: a1 is the newest, a3 the second. Its phone is null, as is that of a3.
    assert rows_of(found.frame) == [
        ("a1", 3, "Anna Lee", "2 Elm", "York", "ann@y", "11", 9),
        ("b1", None, None, "3 Ash", None, None, "22", 1),
        ("c1", 9, "Carl", None, "Hull", None, None, 2),
    ]
    assert rows_of(found.removed) == [
        ("a2", "a1", "a", ["name", "phone"]),
        ("a3", "a1", "a", ["city", "email", "street", "visits"]),
        ("b2", "b1", "b", ["phone", "street", "visits"]),
    ]
    assert found.counts == {"kept": 3, "removed": 3}


@pytest.mark.slow
def test_other_choices(frame: DataFrame) -> None:
    merge = [
        Merge(columns=("name",), take="survivor"),
        Merge(columns=("street", "city"), take="first"),
        Merge(columns=("email",), take="oldest", by="day"),
        Merge(columns=("phone",), take="newest", by="visits"),
        Merge(columns=("visits",), take="least"),
    ]
    found = merged(frame, clusters(frame), ["day"], merge)
    # The first by day are a2, a3, a1; an address is of one row, though its city is null.
    assert rows_of(found.frame) == [
        ("a2", 1, "Anna Lee", "1 Oak", None, "ann@y", "11", 5),
        ("b1", None, None, "3 Ash", None, None, "22", 1),
        ("c1", 9, "Carl", None, "Hull", None, None, 2),
    ]


@pytest.mark.parametrize(
    ("merge", "says"),
    [
        (Merge(columns=("gone",), take="first"), "no column gone"),
        (Merge(columns=("name",), take="newest", by="when"), "no column when"),
        (Merge(columns=("id",), take="first"), "'id' is always the survivor's"),
        (Merge(columns=("tags",), take="most_frequent"), "'tags' is a map"),
        (Merge(columns=("day", "day"), take="first"), "'day' is in two entries"),
    ],
)
def test_mistakes(frame: DataFrame, merge: Merge, says: str) -> None:
    df = frame.selectExpr("*", "map('a', 1) as tags")
    with pytest.raises(ConfigError, match=says):
        merged(df, clusters(df), [], [merge])


@pytest.mark.slow
def test_awkward_names_and_types(spark: SparkSession) -> None:
    rows = [
        (1, datetime.date(2020, 1, 1), {"a": 1}, [1, 2], None),
        (2, None, None, None, "x"),
    ]
    df = spark.createDataFrame(
        rows, "id long, `a day.` date, cluster map<string,int>, place array<int>, row string"
    )
    found = merged(df, df.selectExpr("id", "1L as cluster"))
    assert found.frame.schema.simpleString() == df.schema.simpleString()
    assert [tuple(row) for row in found.frame.collect()] == [(*rows[0][:4], "x")]
