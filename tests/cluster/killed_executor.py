"""Submitted by the tests: train, kill the executor of rank 1 once, and say how it went on."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import psutil

from sparkmine import session
from sparkmine.train import fit

EPOCHS = 300
OUTPUT_SECONDS = 2.5


def network(width: int) -> Any:
    import keras

    print(f"a network for {width} columns")
    return keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, activation="sigmoid")])


def lives(process: int) -> bool:
    """Whether it has not ended; one that nobody collected (a zombie) has."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main(folder: str) -> None:
    spark = session("killed executor")
    frame = spark.range(2000).selectExpr("double(id % 7) AS x", "id % 2 AS y")
    ranks: dict[int, int] = {}
    said: dict[str, Any] = {}

    def watch(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            ranks[event["rank"]] = event["pid"]
        if event["event"] == "epoch":
            said.setdefault("began", time.monotonic())
        # What a rank prints is on its way for up to two seconds.
        going = time.monotonic() - said.get("began", time.monotonic())
        if going > OUTPUT_SECONDS and "killed" not in said:
            # On this machine alone: the rank's ancestors are its executor's Python and its Java.
            executor = next(p for p in psutil.Process(ranks[1]).parents() if p.name() == "java")
            said["killed"] = time.monotonic()
            os.kill(executor.pid, signal.SIGKILL)
            said["first"] = list(ranks.values())
        if event["event"] == "restart":
            said["reason"] = event["reason"]
            said["seconds"] = time.monotonic() - said.pop("killed")
            said["left"] = [pid for pid in said.pop("first") if lives(pid)]
            said["killed"] = True

    trained = fit(
        network,
        train=frame,
        features=["x"],
        ranks=2,
        epochs=EPOCHS,
        batch_size=20,
        checkpoint=f"{folder}/checkpoint",
        scratch=folder,
        max_restarts=1,
        progress=watch,
        spark=spark,
    )
    said["epochs"] = [record["epoch"] for record in trained.history]
    print("RESULT " + json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
