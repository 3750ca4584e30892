"""Fitting PCA against `pyspark.ml.feature.PCA`, scikit-learn's IncrementalPCA and plain NumPy.

k = 10 on 400,000 x 256 and on 100,000 x 1,024 float32 arrays with a decaying spectrum and noise, in
one Delta table each. Wanted: 8 and 15 times faster than Spark ML, and not slower than NumPy.

    python benchmarks/bench_pca.py [--shapes 400000x256 100000x1024] [--runs 3]
                                   [--only sparkmine numpy incremental pyspark.ml]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import bench_session, commit, median_seconds, sizes, table

import sparkmine as sm
from sparkmine import ops

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

K = 10
FILE_VALUES = 25_600_000  # of each file: 100 MB
WANTED = {256: 8, 1024: 15}


def vectors(rows: int, size: int, seed: int = 1) -> Iterator[pa.Table]:
    """Directions whose deviations fall as 1 / (1 + i / 4), turned, with noise and a mean."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((size, size)))[0]
    mix = (turn * (10.0 / (1 + np.arange(size) / 4))).T.astype(np.float32)
    mean = rng.normal(0, 5, size).astype(np.float32)
    for number in sizes(rows, FILE_VALUES // size):
        values = rng.standard_normal((number, size), np.float32) @ mix
        values += 0.1 * rng.standard_normal((number, size), np.float32) + mean
        offsets = pa.array(np.arange(0, values.size + 1, size, dtype=np.int32))
        yield pa.table({"v": pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))})


def files_of(snapshot: Snapshot) -> list[str]:
    return [file.path for file in snapshot.files]


def sparkmine(spark: SparkSession, snapshot: Snapshot, precision: str) -> np.ndarray:
    recipe = sm.Recipe(ops.PCA(columns=sm.select("v"), k=K, precision=precision))
    (step,) = recipe.fit(snapshot, spark).steps
    (block,) = step.outcome.blocks.values()
    return block.weights  # type: ignore[attr-defined]


def spark_ml(spark: SparkSession, snapshot: Snapshot) -> np.ndarray:
    """With the change of arrays into vectors, which its user must make."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector

    frame = snapshot.dataframe(spark).select(array_to_vector("v").alias("v"))
    return PCA(k=K, inputCol="v", outputCol="p").fit(frame).pc.toArray()


def numpy(snapshot: Snapshot) -> np.ndarray:
    """All rows in memory, in one process, on all cores."""
    column = pq.read_table(files_of(snapshot), columns=["v"]).column("v")
    rows = np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks])
    values = rows.reshape(len(column), -1).astype(np.float64)
    values -= values.mean(axis=0)
    return np.linalg.eigh(values.T @ values)[1][:, ::-1][:, :K]


def incremental(snapshot: Snapshot, size: int) -> np.ndarray:
    from sklearn.decomposition import IncrementalPCA

    found = IncrementalPCA(K)
    for path in files_of(snapshot):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=max(5 * size, 4096)):
            rows = batch.column(0).flatten().to_numpy().reshape(batch.num_rows, -1)
            if len(rows) >= K:
                found.partial_fit(rows)
    return found.components_.T


def angle(found: np.ndarray, expected: np.ndarray) -> float:
    """Sine of the largest angle between two spaces, from what of one is outside the other."""
    one, other = (np.linalg.qr(basis)[0] for basis in (found, expected))
    return float(np.linalg.norm(other - one @ (one.T @ other), 2))


def measure(spark: SparkSession, rows: int, size: int, only: list[str], runs: int) -> None:
    snapshot = table(spark, f"pca_{rows}x{size}", lambda: vectors(rows, size))
    peers: dict[str, Callable[[], Any]] = {
        "sparkmine": lambda: sparkmine(spark, snapshot, "float64"),
        "float32": lambda: sparkmine(spark, snapshot, "float32"),
        "numpy": lambda: numpy(snapshot),
        "incremental": lambda: incremental(snapshot, size),
        "pyspark.ml": lambda: spark_ml(spark, snapshot),
    }
    print(f"PCA, k={K}, {rows:,} x {size:,} float32, commit {commit()}", flush=True)
    seconds, found = {}, {}
    for name in only or peers:

        def work(name: str = name) -> None:
            found[name] = peers[name]()

        seconds[name] = median_seconds(work, runs)
        far = ""
        if "numpy" in found and name != "numpy":
            far = f"  angle to numpy {angle(found[name], found['numpy']):.1e}"
        print(f"  {name:12} {seconds[name]:7.2f} s{far}", flush=True)
    if "sparkmine" in seconds:
        for name in seconds.keys() - {"sparkmine"}:
            print(f"  {seconds[name] / seconds['sparkmine']:.1f} times faster than {name}")
        if size in WANTED:
            print(f"  wanted {WANTED[size]} times faster than pyspark.ml, 1 than numpy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["400000x256", "100000x1024"])
    parser.add_argument("--runs", type=int, default=3)
    names = ["numpy", "sparkmine", "float32", "incremental", "pyspark.ml"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    spark = bench_session()
    for shape in options.shapes:
        rows, size = map(int, shape.split("x"))
        measure(spark, rows, size, options.only, options.runs)


if __name__ == "__main__":
    main()
