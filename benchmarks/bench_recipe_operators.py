"""Fitting 4 and 24 operators per numeric column of the same table: they ask the same statistics.

2 million rows x 13 floats. Wanted: less than 1.5 times slower.

    python benchmarks/bench_recipe_operators.py [--rows 2000000] [--runs 3]
"""

from __future__ import annotations

import argparse

from bench_recipe_fit import NUMBERS
from common import bench_session, commit, median_seconds, mixed, table

import sparkmine as sm
from sparkmine import ops
from sparkmine.recipe import Operator


def operators(many: bool) -> list[Operator]:
    columns = sm.select(*NUMBERS)
    few: list[Operator] = [
        ops.ImputeMedian(columns=columns, output="{}_median"),
        ops.Standardize(columns=columns, output="{}_z"),
        ops.Clip(columns=columns, output="{}_clip"),
        ops.BucketizeQuantile(columns=columns, buckets=16, output="{}_b16"),
    ]
    if not many:
        return few
    more: list[Operator] = [
        ops.ImputeMean(columns=columns, output="{}_mean"),
        ops.MissingIndicator(columns=columns),
        ops.MinMaxScale(columns=columns, output="{}_range"),
        ops.MaxAbsScale(columns=columns, output="{}_size"),
        ops.RobustScale(columns=columns, output="{}_robust"),
        ops.LogTransform(columns=columns, output="{}_log"),
        ops.QuantileTransform(columns=columns, output="{}_uniform"),
        ops.Clip(columns=columns, method="iqr", output="{}_iqr"),
        ops.Clip(columns=columns, method="zscore", output="{}_zscore"),
        ops.OutlierIndicator(columns=columns, method="iqr", output="{}_out_iqr"),
        ops.OutlierIndicator(columns=columns, method="zscore", output="{}_out_z"),
        ops.OutlierIndicator(columns=columns, method="quantile", output="{}_out_q"),
    ]
    buckets = [4, 8, 10, 32, 64]
    more += [
        ops.BucketizeQuantile(columns=columns, buckets=n, output=f"{{}}_q{n}") for n in buckets
    ]
    more += [
        ops.BucketizeWidth(columns=columns, buckets=n, output=f"{{}}_w{n}") for n in (4, 8, 16)
    ]
    return few + more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = bench_session()
    snapshot = table(spark, f"mixed_{options.rows}", lambda: mixed(options.rows))
    seconds = []
    print(f"fit, {options.rows:,} rows x 13 floats, commit {commit()}")
    for many in (False, True):
        asked = operators(many)
        recipe = sm.Recipe(*asked, label="y")
        seconds.append(median_seconds(lambda recipe=recipe: recipe.fit(snapshot), options.runs))
        print(f"  {len(asked):3} operators a column {seconds[-1]:7.2f} s", flush=True)
    print(f"  {seconds[1] / seconds[0]:.2f} times slower (wanted < 1.5)")


if __name__ == "__main__":
    main()
