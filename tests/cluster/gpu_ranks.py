"""Submitted by the tests: train on two ranks, which write down the GPU and the network interface
that each was given."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sparkmine import session
from sparkmine.train import fit


def main(folder: str, interface: str) -> None:
    spark = session("gpu ranks")

    def network(width: int) -> Any:
        import os

        import horovod.tensorflow as hvd
        import keras

        given = [os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "HOROVOD_GLOO_IFACE")]
        (Path(folder) / f"rank-{hvd.rank()}").write_text(" ".join(given))
        return keras.Sequential(
            [keras.Input((width,)), keras.layers.Dense(1, activation="sigmoid")]
        )

    frame = spark.range(100).selectExpr("double(id % 7) AS x", "id % 2 AS y")
    fit(
        network,
        train=frame,
        features=["x"],
        ranks=2,
        epochs=1,
        batch_size=10,
        gpus_per_rank=1,
        network_interface=interface,
        scratch=folder,
        spark=spark,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
