"""PCA of more columns than a Gram matrix should have: 20,000 x 20,000 float32, k = 20.

The matrix is 1.6 GB, its Gram matrix 3.2 GB in every process that holds one, so `auto` must take
the randomized way. Wanted: JVM, Python workers and driver together stay below 4 GB. The variances
are compared with those of Lanczos's method (ARPACK) on the same rows, which another process finds
to 1e-6 afterwards; it holds all rows, and its memory does not count.

    python benchmarks/bench_pca_wide.py [--rows 20000] [--columns 20000] [--memory-limit BYTES]
                                        [--only fit | exact]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import FOLDER, PeakMemory, bench_session, commit, sizes, table

import sparkmine as sm
from sparkmine import ops

K = 20
DIRECTIONS = 200
FILE_VALUES = 25_600_000  # of each file: 100 MB
WANTED_BYTES = 4 << 30


def vectors(rows: int, size: int, seed: int = 1) -> Iterator[pa.Table]:
    """Some directions whose deviations fall as 1 / (1 + i / 4), noise in all, and a mean."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((size, min(DIRECTIONS, size))))[0]
    number = directions.shape[1]
    mix = (directions * (10.0 / (1 + np.arange(number) / 4))).T.astype(np.float32)
    mean = rng.normal(0, 5, size).astype(np.float32)
    for count in sizes(rows, FILE_VALUES // size):
        values = 0.1 * rng.standard_normal((count, size), np.float32) + mean
        values += rng.standard_normal((count, number), np.float32) @ mix
        offsets = pa.array(np.arange(0, values.size + 1, size, dtype=np.int32))
        yield pa.table({"v": pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))})


def exact(folder: Path) -> list[float]:
    """The largest variances, from all rows in memory; products are summed in float64."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    files = sorted(folder.glob("*.parquet"))
    found = [pq.read_table(file, columns=["v"]).column("v").combine_chunks() for file in files]
    parts = [each.flatten().to_numpy().reshape(len(each), -1) for each in found]
    rows, size = sum(map(len, parts)), parts[0].shape[1]
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / rows

    def times(vector: np.ndarray) -> np.ndarray:
        total = np.zeros(size)
        for part in parts:
            for begin in range(0, len(part), 500):
                block = part[begin : begin + 500].astype(np.float64) - mean
                total += block.T @ (block @ vector.reshape(-1))
        return total / rows

    covariance = LinearOperator((size, size), matvec=times, dtype=np.float64)
    values = eigsh(covariance, K, ncv=4 * K, tol=1e-6, return_eigenvectors=False)
    return np.sort(values)[::-1].tolist()


def fit(rows: int, size: int, limit: int, name: str) -> None:
    """Make the table and fit; print what it took and keep the variances."""
    spark = bench_session("1g")
    snapshot = table(spark, name, lambda: vectors(rows, size))
    recipe = sm.Recipe(ops.PCA(columns=sm.select("v"), k=K, memory_limit=limit))
    began = time.perf_counter()
    with PeakMemory() as peak:
        (step,) = recipe.fit(snapshot, spark).describe()
    seconds, details = time.perf_counter() - began, step["details"]
    spark.stop()
    method, memory = details["method"], peak.bytes / 2**30
    print(f"PCA, k={K}, {rows:,} x {size:,} float32, commit {commit()}")
    print(f"  {seconds:.1f} s, {details['scans']} scans by the {method} method (wanted randomized)")
    works = method == "randomized" and peak.bytes < WANTED_BYTES
    print(
        f"  {'works' if works else 'DOES NOT work'}: peak memory {memory:.2f} GiB (wanted below 4)"
    )
    (FOLDER / f"{name}.json").write_text(json.dumps(details["explained_variance"]))


def compare(name: str) -> None:
    """Print what share of the exact variances was found."""
    expected = np.array(exact(FOLDER / "lake" / name))
    found = np.array(json.loads((FOLDER / f"{name}.json").read_text())[: len(expected)])
    print("  explained variance, share of the exact one, by component:")
    print("   ", " ".join(f"{ratio:.6f}" for ratio in found / expected))
    print(f"  together {found.sum() / expected.sum():.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=20_000)
    parser.add_argument("--memory-limit", type=int, default=1 << 30)
    parser.add_argument("--only", choices=["fit", "exact"])
    options = parser.parse_args()
    name = f"wide_{options.rows}x{options.columns}"
    if options.only != "exact":
        fit(options.rows, options.columns, options.memory_limit, name)
    if options.only is None:
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--only", "exact"], check=True)
    elif options.only == "exact":
        compare(name)


if __name__ == "__main__":
    main()
