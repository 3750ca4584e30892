"""Fitting a recipe against `pyspark.ml.Pipeline` on the same Delta table.

2 million rows x 40 columns: 13 floats (impute, scale, 16 quantile buckets), 26 heavy-tailed
integer categories (index with min_count 10). Wanted: 5 times faster.

    python benchmarks/bench_recipe_fit.py [--rows 2000000] [--runs 3]
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from common import bench_session, median_seconds, mixed, report, table

import sparkmine as sm
from sparkmine import ops

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NUMBERS = [f"f{i}" for i in range(13)]
CATEGORIES = [f"c{i}" for i in range(26)]


def ours() -> sm.Recipe:
    return sm.Recipe(
        ops.ImputeMean(columns=sm.select(*NUMBERS)),
        ops.Standardize(columns=sm.select(*NUMBERS)),
        ops.BucketizeQuantile(columns=sm.select(*NUMBERS), buckets=16, output="{}_bucket"),
        ops.OrdinalIndex(columns=sm.select(*CATEGORIES), min_count=10),
        label="y",
    )


def spark_ml() -> Any:
    """The nearest Pipeline: StringIndexer has no min_count."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import (
        Imputer,
        QuantileDiscretizer,
        StandardScaler,
        StringIndexer,
        VectorAssembler,
    )

    filled = [f"{name}_filled" for name in NUMBERS]
    return Pipeline(
        stages=[
            Imputer(inputCols=NUMBERS, outputCols=filled, strategy="mean"),
            VectorAssembler(inputCols=filled, outputCol="numbers"),
            StandardScaler(inputCol="numbers", outputCol="scaled", withMean=True),
            QuantileDiscretizer(
                inputCols=filled,
                outputCols=[f"{name}_bucket" for name in NUMBERS],
                numBuckets=16,
                relativeError=0.005,
            ),
            StringIndexer(
                inputCols=CATEGORIES,
                outputCols=[f"{name}_index" for name in CATEGORIES],
                handleInvalid="keep",
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=["ours", "peer"])
    options = parser.parse_args()
    spark = bench_session()
    snapshot = table(spark, f"mixed_{options.rows}", lambda: mixed(options.rows))

    def read() -> DataFrame:
        return snapshot.dataframe(spark)

    seconds = {}
    if options.only != "peer":
        seconds["sparkmine"] = median_seconds(lambda: ours().fit(snapshot), options.runs)
    if options.only != "ours":
        seconds["pyspark.ml"] = median_seconds(lambda: spark_ml().fit(read()), options.runs)
    report(f"fit, {options.rows:,} rows x 40 columns", seconds, wanted=5)


if __name__ == "__main__":
    main()
