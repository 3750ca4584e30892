"""The demo by stage: where the seconds of `make demo` go, and of a second run that does nothing.

Each run is a process of its own with a fresh warehouse, as a user would start it. Prints a table
with the median seconds of every stage, whole-process seconds, and those of the second run.

    python benchmarks/bench_demo.py [--runs 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "conf" / "retail.yaml"


def run(warehouse: Path) -> tuple[float, dict[str, float]]:
    """Whole-process seconds and the seconds of every stage."""
    command = [sys.executable, "-m", "sparkmine.cli", "run", str(CONFIG), "--log-json"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--warehouse", str(warehouse)], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    ended = [e for e in events if e["event"] == "stage" and e["status"] in ("done", "up to date")]
    return seconds, {event["stage"]: event["seconds"] for event in ended}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    first, second = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            first.append(run(Path(folder) / "warehouse"))
            second.append(run(Path(folder) / "warehouse"))
    print(f"{'stage':32} {'first run':>10} {'second':>10}   seconds, median of {runs}")
    for stage in first[0][1]:
        one = statistics.median(stages[stage] for _, stages in first)
        two = statistics.median(stages[stage] for _, stages in second)
        print(f"{stage:32} {one:10.1f} {two:10.1f}")
    whole = [statistics.median(seconds for seconds, _ in runs_) for runs_ in (first, second)]
    print(f"{'whole process':32} {whole[0]:10.1f} {whole[1]:10.1f}")


if __name__ == "__main__":
    main()
