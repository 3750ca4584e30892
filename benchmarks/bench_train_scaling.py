"""Training on 2 ranks and 2 cores against 1 rank on 1 core: rows a second, in fresh processes.

Every rank is bound to one core when it starts, before it imports TensorFlow. Rows a second are
those of the history without validation: of the quickest epoch, because a machine whose cores are
lent to others now and then is slow for seconds; of the runs, the median counts. Efficiency is
the rate of 2 ranks over twice the rate of one. The limit of the machine is the same of two fits of
1 rank each that run at once, which have nothing to tell each other. Gradient bytes are those of
the trainable variables; the time of an allreduce is that of one vector of them by 2 idle ranks.

The larger the batch, the more work between two reductions: `--batch` gives the rows of a step.

    python benchmarks/bench_train_scaling.py [--runs 3] [--only mlp cnn] [--batch ROWS]
"""

from __future__ import annotations

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import psutil
from common import FOLDER, bench_session, commit
from networks import NETWORKS, SETTINGS

import sparkmine as sm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

WANTED = 0.92
# Epochs long enough that their ends, where ranks compare their variables, do not count much.
ROWS = {"mlp": 400_000, "cnn": 20_000}
EPOCHS = {"mlp": 10, "cnn": 4}


def fitted(
    spark: SparkSession, snapshot: Snapshot, name: str, ranks: int, batch: int, core: int = 0
) -> sm.train.TrainedModel:
    """Fit with rank r bound to core `core` + r; threads that it starts from then on follow."""

    def pin(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            psutil.Process(event["pid"]).cpu_affinity([core + event["rank"]])

    settings = {**SETTINGS[name], "batch_size": batch, "epochs": EPOCHS[name]}
    return sm.train.fit(
        NETWORKS[name], train=snapshot, ranks=ranks, spark=spark, progress=pin, **settings
    )


def side_by_side(spark: SparkSession, snapshot: Snapshot, name: str, batch: int) -> float:
    """Rows a second of two fits of 1 rank together, each on its core."""
    with ThreadPoolExecutor(2) as pool:
        fits = [pool.submit(fitted, spark, snapshot, name, 1, batch, core) for core in (0, 1)]
        return sum(rate(one.result()) for one in fits)


def rate(trained: sm.train.TrainedModel) -> float:
    return float(max(record["rows_per_second"] for record in trained.history[1:]))


def timed_reduction(numbers: int) -> Any:
    """A function for `fit` that times the reduction instead of making a network."""
    file = FOLDER / "allreduce.json"

    def measure(width: int) -> Any:
        import time

        import horovod.tensorflow as hvd
        import keras
        import tensorflow as tf

        vector = tf.random.normal([numbers])
        reduce = tf.function(lambda given: hvd.allreduce(given, op=hvd.Average))
        seconds = []
        for _ in range(60):
            began = time.perf_counter()
            reduce(vector)
            seconds.append(time.perf_counter() - began)
        if hvd.rank() == 0:
            file.write_text(json.dumps(sorted(seconds[10:])[25]))
        return keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, "sigmoid")])

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(ROWS))
    parser.add_argument("--batch", type=int, help="rows of a rank's step")
    options = parser.parse_args()
    spark = bench_session(memory="2g", **{"spark.master": "local[2]"})
    print(f"1 rank on 1 core against 2 ranks on 2 cores, commit {commit()}")
    for name in options.only:
        snapshot = networks.snapshot(spark, name, ROWS[name])
        batch = options.batch or SETTINGS[name]["batch_size"]
        found: dict[str, list[float]] = {"1 rank": [], "2 ranks": [], "2 fits of 1 rank": []}
        for _ in range(options.runs):
            found["1 rank"].append(rate(fitted(spark, snapshot, name, 1, batch)))
            trained = fitted(spark, snapshot, name, 2, batch)
            found["2 ranks"].append(rate(trained))
            found["2 fits of 1 rank"].append(side_by_side(spark, snapshot, name, batch))
            for label, rates in found.items():
                print(f"    {name}, {label}: {rates[-1]:,.0f} rows/s", flush=True)
        one, two, apart = (statistics.median(rates) for rates in found.values())
        numbers = sum(int(np.prod(v.shape)) for v in trained.network().trainable_variables)
        sm.train.fit(
            timed_reduction(numbers),
            train=snapshot,
            features=["v"],
            ranks=2,
            epochs=1,
            batch_size=ROWS[name] // 2,
            spark=spark,
        )
        milliseconds = json.loads((FOLDER / "allreduce.json").read_text()) * 1000
        step = batch / (two / 2) * 1000
        print(
            f"  {name}, {batch} rows a step: {one:,.0f} and {two:,.0f} rows/s, efficiency "
            f"{two / one / 2:.3f} (wanted {WANTED:g}), two fits side by side "
            f"{apart / one / 2:.3f}; {4 * numbers:,} bytes of gradients, allreduce "
            f"{milliseconds:.2f} ms of a step's {step:.2f} ms"
        )


if __name__ == "__main__":
    main()
