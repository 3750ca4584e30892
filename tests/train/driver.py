"""Started by the tests: train until somebody ends this process, and say when training began.

python driver.py [NETWORK_INTERFACE]
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from sparkmine import session
from sparkmine.cli import guarded
from sparkmine.train import MLP, fit


def tell(event: dict[str, Any]) -> None:
    if event["event"] in {"started", "step"}:
        print(json.dumps(event), flush=True)


def main() -> int:
    spark = session("driver", conf={"spark.master": "local[2]", "spark.driver.memory": "1g"})
    frame = spark.range(1000).selectExpr("double(id % 7) AS x", "id % 2 AS y")
    settings: dict[str, Any] = {"ranks": 2, "epochs": 100_000, "batch_size": 10}
    if len(sys.argv) > 1:
        settings["network_interface"] = sys.argv[1]
    fit(MLP(), train=frame, features=["x"], spark=spark, progress=tell, **settings)
    return 0


if __name__ == "__main__":
    # A shell's background jobs ignore Ctrl-C, and so would we.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(guarded(main))
