"""The cost of a fit per row, from 2 to 100 million rows, with 1 GB for the driver.

10 columns: 5 floats with 5 % nulls (impute, scale, 16 quantile buckets), 4 integer categories
(index with min_count 10, frequency), a label. Half of the rows have one key in the widest category.
Wanted: the cost per row is flat within 25 %.

    python benchmarks/bench_recipe_rows.py [--rows 2000000 20000000 100000000] [--runs 3]
                                           [--make] [--remove]

`--make` makes the tables and ends (100 million rows: 7 GB), `--remove` removes them at the end. A
fit of 2 million rows warms Spark up.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from common import PeakMemory, bench_session, commit, median_seconds, sizes, table

import sparkmine as sm
from sparkmine import ops

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

FLOATS = [f"f{i}" for i in range(5)]
CARDINALITIES = {"small": 10, "middle": 1_000, "large": 50_000, "key": 1_000_000}
WARM = 2_000_000


def skewed(rows: int, seed: int = 4) -> Iterator[pa.Table]:
    """The categories are log-uniform, P(k) ~ 1/k; of `key`, half of the rows are 0."""
    rng = np.random.default_rng(seed)
    for size in sizes(rows, 1_000_000):
        columns = {}
        for i, name in enumerate(FLOATS):
            values = rng.lognormal(i, 1.0, size) if i % 2 else rng.normal(10.0 * i, 3.0, size)
            columns[name] = pa.array(values, mask=rng.random(size) < 0.05)
        for name, cardinality in CARDINALITIES.items():
            values = (cardinality ** rng.random(size)).astype(np.int64)
            if name == "key":
                values[rng.random(size) < 0.5] = 0
            columns[name] = pa.array(values)
        yield pa.table({**columns, "y": pa.array(rng.integers(0, 2, size))})


def recipe() -> sm.Recipe:
    floats, categories = sm.select(*FLOATS), sm.select(*CARDINALITIES)
    return sm.Recipe(
        ops.ImputeMedian(columns=floats),
        ops.Standardize(columns=floats),
        ops.BucketizeQuantile(columns=floats, buckets=16, output="{}_bucket"),
        ops.FrequencyEncode(columns=categories, output="{}_share"),
        ops.OrdinalIndex(columns=categories, min_count=10),
        label="y",
    )


def stored(spark: SparkSession, rows: int) -> Snapshot:
    return table(spark, f"skewed_{rows}", lambda: skewed(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000, 100_000_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--remove", action="store_true")
    options = parser.parse_args()
    spark = bench_session("1g")
    snapshots = {rows: stored(spark, rows) for rows in options.rows}
    if not options.make:
        first = stored(spark, min(WARM, *options.rows))
        recipe().fit(first)
        print(f"fit, 10 columns, driver memory 1 GB, commit {commit()}")
        costs = []
        for rows, snapshot in snapshots.items():
            with PeakMemory() as peak:
                seconds = median_seconds(lambda s=snapshot: recipe().fit(s), options.runs, warm=0)
            costs.append(seconds / rows * 1e6)
            memory = f"peak of all processes {peak.bytes / 2**30:.2f} GiB"
            print(
                f"  {rows:13,} rows {seconds:8.2f} s {costs[-1]:7.3f} µs a row, {memory}",
                flush=True,
            )
        if len(costs) > 1:
            print(f"  largest / smallest cost {max(costs) / min(costs):.2f} (wanted below 1.25)")
    if options.remove:
        for snapshot in snapshots.values():
            shutil.rmtree(snapshot.path)


if __name__ == "__main__":
    main()
