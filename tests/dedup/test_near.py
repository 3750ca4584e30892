"""Near copies on Spark against brute force: every pair by Python's sets, clusters by networkx."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import sparkmine as sm
from sparkmine.dedup.near import Matching, find
from sparkmine.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

THRESHOLD = 0.5


ODD = {
    1000: None,
    1001: "",
    1002: " -- !",
    1003: None,
    1004: "Alone",
    1005: "alone!",
    1006: "alone again",
    1007: "Grüße",
    1008: "GRÜSSE",
    1009: "grüße",
}


@pytest.fixture(scope="module")
def texts(documents: Callable[..., list[str]]) -> dict[int, str | None]:
    """300 documents, and texts without words or with few."""
    return {**dict(enumerate(documents(300))), **ODD}


@pytest.fixture(scope="module")
def frame(spark: SparkSession, texts: dict[int, str | None]) -> DataFrame:
    """With 3,000 rows of one text, far more than a bucket whose pairs are all compared."""
    rows = [*texts.items(), *((10_000 + i, "the same line again and again") for i in range(3000))]
    return spark.createDataFrame(rows, "id long, text string").cache()


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_clusters_are_those_of_brute_force(
    frame: DataFrame,
    texts: dict[int, str | None],
    brute_force: Callable[..., dict[int, int]],
    partitions: int,
) -> None:
    matching = Matching.of(THRESHOLD, "word", 3, 0.9999)
    found = find(frame.repartition(partitions), "id", "text", matching)
    expected = brute_force(texts, 3, THRESHOLD)
    expected.update({10_000 + i: 10_000 for i in range(3000)})
    assert found.clusters.columns == ["id", "cluster"]
    rows = found.clusters.collect()
    assert len(rows) == len(expected)
    assert {row["id"]: row["cluster"] for row in rows} == expected
    figures = found.figures
    assert figures["rows"] == len(expected)
    assert figures["without_text"] == 4
    assert figures["clusters"] == len(set(expected.values())) < len(expected) - 3000
    assert figures["edges"] <= figures["pairs_compared"] < 310**2 / 4
    assert figures["large_buckets"] == 0


def test_names_types_and_a_snapshot(spark: SparkSession, lake: sm.Lake) -> None:
    rows = [
        ("b", "日本語の文章をくらべる"),
        ("a", "日本語の文章をくらべます"),
        ("c", "まったく別のことば"),
    ]
    lake.table("raw/lines").write(spark.createDataFrame(rows, "line string, said string"))
    snapshot = lake.table("raw/lines").snapshot()
    found = sm.dedup.near_duplicates(snapshot, "line", "said", 0.5, shingle="char", size=2)
    assert found.columns == ["line", "cluster"]
    assert sorted(map(tuple, found.collect())) == [("a", "a"), ("b", "a"), ("c", "c")]


def test_ids_must_be_there_and_distinct(spark: SparkSession) -> None:
    twice = spark.createDataFrame([(1, "a b"), (2, "c d"), (1, "e f")], "id int, text string")
    with pytest.raises(DataError, match="1 values are in several rows, such as 1;"):
        sm.dedup.near_duplicates(twice)
    null = spark.createDataFrame([(1, "a b"), (None, "c d")], "id int, text string")
    with pytest.raises(DataError, match="'id' is null in 1 rows"):
        sm.dedup.near_duplicates(null)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"text": "gone"}, "no column gone"),
        ({"text": "id"}, "both 'id'"),
        ({"text": "number"}, "'number' has type double.* strings"),
        ({"id": "number"}, "'number' has type double; an id is one of bigint"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": "high"}, "threshold is 'high'"),
        ({"shingle": "line"}, "word, char"),
        ({"size": 0}, "size is 0"),
        ({"recall": 1}, "recall is 1"),
    ],
)
def test_mistakes(spark: SparkSession, arguments: dict[str, Any], says: str) -> None:
    df = spark.createDataFrame([(1, "a", 1.0)], "id long, text string, number double")
    with pytest.raises(ConfigError, match=says):
        sm.dedup.near_duplicates(df, **arguments)


@pytest.mark.slow
def test_two_hundred_thousand_equal_and_as_many_alike(spark: SparkSession) -> None:
    """Equal documents are one node; documents that share all but a word fill large buckets."""
    from pyspark.sql import functions as F

    line = " ".join(f"w{i}" for i in range(60))
    number = F.col("id")
    equal = spark.range(200_000).select("id", F.lit(line).alias("text"))
    alike = spark.range(1_000_000, 1_020_000).select(
        "id", F.concat(F.lit(line.replace("w", "v") + " "), number).alias("text")
    )
    found = find(equal.union(alike), "id", "text", Matching.of(0.7, "word", 3, 0.99))
    counts = {
        row["cluster"]: row["count"] for row in found.clusters.groupBy("cluster").count().collect()
    }
    assert counts == {0: 200_000, 1_000_000: 20_000}
    assert found.figures["large_buckets"] > 0
    assert found.figures["pairs_compared"] < 20_000 * 10 * 24
