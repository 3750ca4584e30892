"""Training on 2 ranks and 2 cores against 1 rank on 1 core: rows a second, in fresh processes.

Every rank is bound to one core when it starts, before it imports TensorFlow. Rows a second are
those of the history without validation: of the quickest epoch, because a machine whose cores are
lent to others now and then is slow for seconds; of the runs, the median counts. Efficiency is
the rate of 2 ranks over twice the rate of one. Gradient bytes are those of the trainable variables;
the time of an allreduce is that of one grouped call of such tensors by 2 idle ranks.

    python benchmarks/bench_train_scaling.py [--runs 3] [--only mlp cnn]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa
from common import FOLDER, bench_session, commit, sizes, table

import sparkmine as sm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

WANTED = 0.92
ROWS = {"mlp": 100_000, "cnn": 5_000}
SETTINGS: dict[str, dict[str, Any]] = {
    "mlp": {"features": ["v"], "batch_size": 1024, "epochs": 10},
    "cnn": {"features": ["v"], "batch_size": 64, "epochs": 10},
}
NETWORKS: dict[str, sm.train.Network] = {
    "mlp": sm.train.MLP(hidden=[256, 256]),
    "cnn": sm.train.CNN(shape=(28, 28, 1), filters=[32, 64], hidden=[128]),
}
WIDTH = {"mlp": 39, "cnn": 784}


def rows(name: str) -> Iterator[pa.Table]:
    rng = np.random.default_rng(0)
    for size in sizes(ROWS[name], 50_000):
        values = rng.normal(size=(size, WIDTH[name])).astype(np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH[name])
        label = (values[:, :4].sum(axis=1) > 0).astype(np.int32)
        yield pa.table({"v": vectors.cast(pa.list_(pa.float32())), "y": label})


def pin(event: dict[str, Any]) -> None:
    """Bind a rank to the core of its number; the threads that it starts from now on follow."""
    if event["event"] == "started":
        psutil.Process(event["pid"]).cpu_affinity([event["rank"]])


def fitted(spark: SparkSession, snapshot: Snapshot, name: str, ranks: int) -> sm.train.TrainedModel:
    return sm.train.fit(
        NETWORKS[name],
        train=snapshot,
        ranks=ranks,
        spark=spark,
        progress=pin,
        **SETTINGS[name],
    )


def rate(trained: sm.train.TrainedModel) -> float:
    return float(max(record["rows_per_second"] for record in trained.history[1:]))


def timed_reduction(sizes_of_tensors: list[int]) -> Any:
    """A function for `fit` that times the reduction instead of making a network."""
    file = FOLDER / "allreduce.json"

    def measure(width: int) -> Any:
        import time

        import horovod.tensorflow as hvd
        import keras
        import tensorflow as tf

        tensors = [tf.random.normal([size]) for size in sizes_of_tensors]
        reduce = tf.function(lambda *given: hvd.grouped_allreduce(given, op=hvd.Average))
        seconds = []
        for _ in range(60):
            began = time.perf_counter()
            reduce(*tensors)
            seconds.append(time.perf_counter() - began)
        if hvd.rank() == 0:
            file.write_text(json.dumps(sorted(seconds[10:])[25]))
        return keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, "sigmoid")])

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(NETWORKS))
    options = parser.parse_args()
    spark = bench_session(memory="2g", **{"spark.master": "local[2]"})
    print(f"1 rank on 1 core against 2 ranks on 2 cores, commit {commit()}")
    for name in options.only:
        snapshot = table(spark, f"scaling_{name}_{ROWS[name]}", lambda name=name: rows(name))
        found: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(options.runs):
            for ranks, rates in found.items():
                trained = fitted(spark, snapshot, name, ranks)
                rates.append(rate(trained))
                print(f"    {name}, {ranks} ranks: {rates[-1]:,.0f} rows/s", flush=True)
        one, two = (statistics.median(rates) for rates in found.values())
        counts = [int(np.prod(v.shape)) for v in trained.network().trainable_variables]
        sm.train.fit(
            timed_reduction(counts),
            train=snapshot,
            features=["v"],
            ranks=2,
            epochs=1,
            batch_size=ROWS[name] // 2,
            spark=spark,
            progress=pin,
        )
        milliseconds = json.loads((FOLDER / "allreduce.json").read_text()) * 1000
        step = SETTINGS[name]["batch_size"] / (two / 2) * 1000
        print(
            f"  {name}: {one:10,.0f} and {two:10,.0f} rows/s, efficiency {two / one / 2:.3f} "
            f"(wanted {WANTED:g}); {4 * sum(counts):,} bytes of gradients, allreduce "
            f"{milliseconds:.2f} ms of a step's {step:.2f} ms"
        )


if __name__ == "__main__":
    main()
