"""The plan of a recipe says what the fit then does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import from_arrow_schema

import sparkmine as sm
from sparkmine import ops
from sparkmine.errors import RecipeError
from sparkmine.recipe import Operator, Recipe

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Few values: a quantile needs no further scan.
TABLE = pa.table(
    {
        "id": range(40),
        "a": [float(i % 7) for i in range(40)],
        "b": [float(i % 5) if i % 9 else None for i in range(40)],
        "word": ["red", "green"] * 20,
        "y": [i % 2 for i in range(40)],
    }
)
SCHEMA = from_arrow_schema(TABLE.schema)
A = sm.select("a")
IMPUTE_AND_SCALE = (ops.ImputeMedian(), ops.Standardize())
BUCKETS = ops.BucketizeQuantile(columns=A, buckets=4, output="{}_bucket")


def recipe(*operators: Operator) -> Recipe:
    return Recipe(*operators, keys=["id"], label="y")


def test_impute_scale_and_buckets_are_one_round() -> None:
    assert recipe(*IMPUTE_AND_SCALE, BUCKETS).plan(SCHEMA) == (
        "round 1 (1 scan)\n"
        "  1 ImputeMedian(numeric()): Sketch of 2 columns\n"
        "  2 Standardize(numeric()): Moments of 2 columns, derived from this scan\n"
        "  3 BucketizeQuantile(select('a')): Sketch of 1 column, derived from this scan\n"
        "1 scan of the table"
    )


def test_what_waits_says_for_what() -> None:
    words = ops.OneHot(columns=sm.select("word"))
    pca = ops.PCA(columns=sm.select("a", "b"), k=1)
    best = ops.SelectKBest(columns=sm.starts_with("word_"), k=1)
    log = ops.LogTransform(columns=sm.starts_with("zzz"))
    assert recipe(*IMPUTE_AND_SCALE, words, pca, best, log).plan(SCHEMA).splitlines()[4:] == [
        "round 2 (1 scan)",
        "  4 PCA(select('a', 'b')): Gram of 2 columns, after Standardize",
        "  5 SelectKBest(starts_with('word_')): GroupedMoments of about 1 column, after OneHot",
        "no scan: 6 LogTransform(starts_with('zzz')), which selects no column",
        "2 scans of the table, the counts of 1 column are shuffled",
    ]


def test_columns_that_only_a_fit_makes() -> None:
    words = ops.OneHot(columns=sm.select("word"))
    scale = ops.Standardize(columns=sm.select("word_is_red"))
    assert recipe(words, scale, BUCKETS).plan(SCHEMA).splitlines()[2:] == [
        "after round 1, when its columns are known: 2 Standardize(select('word_is_red'))",
        "after round 1, when its columns are known: 3 BucketizeQuantile(select('a'))",
        "at least 1 scan of the table, the counts of 1 column are shuffled",
    ]
    with pytest.raises(RecipeError, match="no column 'nope'"):
        recipe(BUCKETS, ops.Standardize(columns=sm.select("nope"))).plan(SCHEMA)


@pytest.mark.parametrize(
    ("operators", "scans"),
    [
        ([*IMPUTE_AND_SCALE, BUCKETS], 1),
        ([ops.LogTransform()], 0),
        ([*IMPUTE_AND_SCALE, ops.PCA(columns=sm.numeric(), k=1)], 2),
        ([ops.PowerTransform(columns=A), BUCKETS], 4),
        (
            [
                ops.ImputeMedian(),
                ops.OneHot(columns=sm.select("word")),
                ops.SelectKBest(columns=sm.numeric(), k=1, score="mutual_information"),
            ],
            2,
        ),
    ],
)
def test_the_fit_takes_as_many_scans(
    spark: SparkSession, operators: list[Operator], scans: int
) -> None:
    planned = recipe(*operators).plan(SCHEMA)
    fitted = recipe(*operators).fit(spark.createDataFrame(TABLE))
    assert re.findall(r"(\d+) scans? of the table", planned) == [str(scans)]
    assert fitted.scans == scans
