"""Transforming a table with a fitted recipe, written to Delta, against `pyspark.ml.Pipeline`.

The same table and the same operators as bench_recipe_fit.py. Wanted: 1.5 times faster.

    python benchmarks/bench_recipe_transform.py [--rows 2000000] [--runs 3]
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench_recipe_fit import CATEGORIES, NUMBERS, ours, spark_ml
from common import FOLDER, bench_session, median_seconds, mixed, report, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=["ours", "peer"])
    options = parser.parse_args()
    spark = bench_session()
    snapshot = table(spark, f"mixed_{options.rows}", lambda: mixed(options.rows))
    sample = snapshot.dataframe(spark)

    def write(frame: DataFrame) -> None:
        target = str(FOLDER / "lake" / "transformed")
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(target)

    seconds = {}
    if options.only != "peer":
        fitted = ours().fit(snapshot)
        seconds["sparkmine"] = median_seconds(lambda: write(fitted.transform(sample)), options.runs)
    if options.only != "ours":
        model = spark_ml().fit(sample)
        # The same columns as ours: the scaled vector, the buckets, the indexes and the label.
        kept = ["scaled", "y", *(f"{name}_bucket" for name in NUMBERS)]
        kept += [f"{name}_index" for name in CATEGORIES]
        seconds["pyspark.ml"] = median_seconds(
            lambda: write(model.transform(sample).select(*kept)), options.runs
        )
    report(f"transform, {options.rows:,} rows x 40 columns", seconds, wanted=1.5)


if __name__ == "__main__":
    main()
