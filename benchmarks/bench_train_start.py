"""Starting 2 ranks by `sparkmine.train.fit` against `horovod.spark.run`, in one session.

From the call until every rank has passed `hvd.init()`, less TensorFlow's import as it takes in as
many fresh processes at once. Ours reads a table and looks at the executors in this time, and the
figure is taken when the driver hears of it; Horovod's is taken in its ranks. Wanted: at most 2 s.

    python benchmarks/bench_train_start.py [--runs 3]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from common import bench_session, commit, table

import sparkmine as sm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

RANKS = 2
WANTED = 2.0
ROWS = 1000


def rows() -> Iterator[pa.Table]:
    numbers = np.arange(ROWS)
    yield pa.table({"x": numbers.astype(float), "y": numbers % 2})


def tensorflow_seconds() -> float:
    """The slowest import of TensorFlow by as many fresh processes as there are ranks."""
    code = "import time, tensorflow; print(time.time())"
    began = time.time()
    command = [sys.executable, "-c", code]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(RANKS)
    ]
    return max(float(process.communicate()[0]) for process in processes) - began


def sparkmine_seconds(spark: SparkSession, snapshot: Snapshot) -> float:
    ready: list[float] = []

    def note(event: dict[str, Any]) -> None:
        if event["event"] == "ready":
            ready.append(time.time())

    began = time.time()
    sm.train.fit(
        sm.train.MLP(hidden=[4]),
        train=snapshot,
        features=["x"],
        ranks=RANKS,
        epochs=1,
        batch_size=100,
        spark=spark,
        progress=note,
    )
    assert len(ready) == RANKS
    return max(ready) - began


def rank() -> float:
    """What Horovod runs: like our ranks, it imports TensorFlow first."""
    import horovod.tensorflow as hvd

    hvd.init()
    now = time.time()
    hvd.shutdown()
    return now


def horovod_seconds() -> float:
    import horovod.spark

    began = time.time()
    return max(horovod.spark.run(rank, num_proc=RANKS, use_gloo=True, verbose=0)) - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = bench_session(memory="2g", **{"spark.master": f"local[{RANKS}]"})
    snapshot = table(spark, f"start_{ROWS}", rows)
    found: dict[str, list[float]] = {"TensorFlow": [], "sparkmine": [], "horovod": []}
    for number in range(options.runs + 1):
        seconds = (tensorflow_seconds(), sparkmine_seconds(spark, snapshot), horovod_seconds())
        if number:  # the first of each is warm-up
            for name, one in zip(found, seconds, strict=True):
                found[name].append(one)
    bare, *others = (statistics.median(values) for values in found.values())
    print(f"start of {RANKS} ranks, commit {commit()}; TensorFlow's import alone {bare:.2f} s")
    for name, one in zip(("sparkmine", "horovod"), others, strict=True):
        print(f"  {name:12} {one:7.2f} s, {one - bare:5.2f} s on top")
    print(f"  wanted on top: {WANTED:g} s")


if __name__ == "__main__":
    main()
