"""`TrainedModel.score` and `transform` against `model.predict` of Keras on the same cores.

Ours read the Delta table, score it in Spark's Python workers and throw the scores away (`noop`):
`score` as stages do, the files by the workers; `transform` any DataFrame, whose rows come from the
JVM. Keras gets a matrix that is in memory, in one process. All are warm.

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
        scored = {
            "score": trained.score(snapshot, ["y"], spark),
            "transform": trained.transform(snapshot.dataframe(spark)),
        }
        ours = {
            label: median_seconds(lambda f=frame: f.write.format("noop").mode("overwrite").save())
            for label, frame in scored.items()
        }
        network, values = trained.network(), networks.matrix(name, ROWS[name])
        peer = median_seconds(
            lambda network=network, values=values: network.predict(
                values, batch_size=1024, verbose=0
            )
        )
        for label, seconds in {**ours, "model.predict": peer}.items():
            share = f"{peer / seconds:.2f} of model.predict (wanted {WANTED:g})"
            print(f"  {name} {label:14} {ROWS[name] / seconds:12,.0f} rows/s, {share}")


if __name__ == "__main__":
    main()
