"""Submitted by the tests: write and read a Delta table, and say on one line where the tasks ran."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from sparkmine import Lake, session


def whereabouts(_: Iterator[int]) -> Iterator[tuple[str, str]]:
    """The executor's folder and the Python of a task."""
    yield str(Path.cwd()), sys.executable


def main(root: str) -> None:
    spark = session("round trip")
    table = Lake(root, spark).table("numbers")
    table.write(spark.range(0, 1000, 1, 4), mode="overwrite")
    table.write(spark.range(1000, 1500, 1, 2), mode="append")
    snapshot = table.snapshot()
    # A barrier stage starts all its tasks at once: with one core each they are on two executors.
    tasks = spark.sparkContext.range(2, numSlices=2).barrier().mapPartitions(whereabouts).collect()
    said = {
        "rows": snapshot.dataframe(spark).count(),
        "sum": snapshot.dataframe(spark).agg({"id": "sum"}).first()[0],
        "version": snapshot.version,
        "master": spark.sparkContext.master,
        "executors": len({folder for folder, _ in tasks}),
        "pythons": sorted({python for _, python in tasks}),
        "time_zone": spark.conf.get("spark.sql.session.timeZone"),
    }
    print("RESULT " + json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
