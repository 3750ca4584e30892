"""Submitted by the tests: ask for ranks (and GPUs for each) that the cluster does not have."""

from __future__ import annotations

import sys
import time

from sparkmine import session
from sparkmine.train import MLP, fit


def main(ranks: int, gpus: int) -> None:
    spark = session("refused")
    frame = spark.range(100).selectExpr("double(id) AS x", "id % 2 AS y")
    began = time.monotonic()
    try:
        fit(
            MLP(),
            train=frame,
            features=["x"],
            ranks=ranks,
            gpus_per_rank=gpus,
            batch_size=10,
            spark=spark,
        )
    finally:
        print(f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
