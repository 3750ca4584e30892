"""Updating a fitted recipe after 1 % was appended, against fitting it again.

20 million rows x 10 columns. Wanted: 10 times faster.

    python benchmarks/bench_recipe_update.py [--rows 20000000] [--runs 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from common import FOLDER, bench_session, commit, median_seconds, sizes, table

import sparkmine as sm
from sparkmine import ops


def narrow(rows: int, seed: int = 2) -> Iterator[pa.Table]:
    """5 floats, 4 heavy-tailed integer categories, a label."""
    rng = np.random.default_rng(seed)
    for size in sizes(rows, 1_000_000):
        columns = {f"f{i}": pa.array(rng.lognormal(i, 1.0, size)) for i in range(5)}
        for i, cardinality in enumerate((10, 1000, 50_000, 1_000_000)):
            columns[f"c{i}"] = pa.array((cardinality ** rng.random(size)).astype(np.int64))
        yield pa.table({**columns, "y": pa.array(rng.integers(0, 2, size))})


def recipe() -> sm.Recipe:
    return sm.Recipe(
        ops.ImputeMedian(columns=sm.starts_with("f")),
        ops.Standardize(columns=sm.starts_with("f")),
        ops.BucketizeQuantile(columns=sm.starts_with("f"), buckets=16, output="{}_bucket"),
        ops.OrdinalIndex(columns=sm.starts_with("c"), min_count=10),
        label="y",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = bench_session()
    name = f"narrow_{options.rows}"
    table(spark, name, lambda: narrow(options.rows))
    stored = sm.Lake(FOLDER / "lake", spark).table(name)
    before = stored.snapshot(version=0)
    if stored.snapshot().version == 0:
        (more,) = narrow(options.rows // 100, seed=3)
        stored.write(spark.createDataFrame(more), mode="append")
    after = stored.snapshot(version=1)
    fitted = recipe().fit(before)
    update = median_seconds(lambda: fitted.update(after), options.runs)
    refit = median_seconds(lambda: recipe().fit(after), options.runs)
    print(f"1 % appended to {options.rows:,} rows x 10 columns, commit {commit()}")
    print(f"  refit  {refit:7.2f} s\n  update {update:7.2f} s")
    print(f"  {refit / update:.1f} times faster (wanted 10)")


if __name__ == "__main__":
    main()
