"""Submitted by the tests: ask for one rank more than the two executors have cores."""

from __future__ import annotations

import time

from sparkmine import session
from sparkmine.train import MLP, fit


def main() -> None:
    spark = session("too many ranks")
    began = time.monotonic()
    try:
        frame = spark.range(100).selectExpr("double(id) AS x", "id % 2 AS y")
        fit(MLP(), train=frame, features=["x"], ranks=3, batch_size=10, spark=spark)
    finally:
        print(f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
