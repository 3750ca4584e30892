"""`TrainedModel.transform` against `model.predict` of Keras in one process on the same cores.

Ours reads the Delta table, scores it in Spark's Python workers and throws the rows away (`noop`);
Keras gets a matrix that is in memory. Both are warm.

    python benchmarks/bench_train_scoring.py [--only mlp cnn]
"""

from __future__ import annotations

import argparse

import networks
from common import bench_session, commit, median_seconds
from networks import NETWORKS, SETTINGS

import sparkmine as sm

WANTED = 0.8
ROWS = {"mlp": 2_000_000, "cnn": 60_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(ROWS))
    options = parser.parse_args()
    spark = bench_session(memory="2g", **{"spark.master": "local[2]"})
    print(f"scoring on 2 cores, commit {commit()}")
    for name in options.only:
        snapshot = networks.snapshot(spark, name, ROWS[name])
        few = {**SETTINGS[name], "epochs": 1}
        trained = sm.train.fit(NETWORKS[name], train=snapshot, ranks=2, spark=spark, **few)
        scored = trained.transform(snapshot.dataframe(spark))
        ours = median_seconds(
            lambda scored=scored: scored.write.format("noop").mode("overwrite").save()
        )
        network, values = trained.network(), networks.matrix(name, ROWS[name])
        peer = median_seconds(
            lambda network=network, values=values: network.predict(
                values, batch_size=1024, verbose=0
            )
        )
        found = {"transform": ROWS[name] / ours, "model.predict": ROWS[name] / peer}
        for label, per_second in found.items():
            print(f"  {name} {label:14} {per_second:12,.0f} rows/s")
        print(f"  {name}: {peer / ours:.2f} of model.predict (wanted {WANTED:g})")


if __name__ == "__main__":
    main()
