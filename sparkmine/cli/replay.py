"""`sparkmine replay`: run a run again and compare."""

from __future__ import annotations

import argparse
import time
from typing import Any

from sparkmine.cli.shared import existing, warehouse_option


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay", help="run the stages of a run again, on what they read, and compare the results"
    )
    warehouse_option(parser)
    parser.add_argument("run", metavar="RUN", help="a run's id, from `sparkmine runs`")
    parser.set_defaults(command=_replay)


def _replay(options: argparse.Namespace) -> int:
    from collections import Counter

    from sparkmine.listing import outcome_lines
    from sparkmine.pipeline.fingerprint import code_version
    from sparkmine.pipeline.replay import Replay, problem

    began = time.monotonic()
    replay = Replay(existing(options.warehouse), options.run)
    print(
        f"run {replay.run_id}: {replay.pipeline}, date {replay.date}, {len(replay.lines)} stages "
        f"that it ran, warehouse {replay.lake.root}",
        flush=True,
    )
    if replay.code != code_version():
        print(f"its sparkmine was {replay.code}, this is {code_version()}", flush=True)
    outcomes = []
    for outcome in replay.stages():
        outcomes.append(outcome)
        print("\n".join(outcome_lines(outcome)), flush=True)
    counts = Counter(outcome.status for outcome in outcomes)
    found = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"replayed in {time.monotonic() - began:.1f} s: {found}")
    error = problem(outcomes)
    if error is not None:
        raise error
    return 0
