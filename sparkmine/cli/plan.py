"""`sparkmine plan`: what a run would do, and why."""

from __future__ import annotations

import argparse
from typing import Any

from sparkmine.cli.shared import load, open_lake, pipeline_options


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("plan", help="show what a run would do, and why")
    pipeline_options(parser)
    parser.set_defaults(command=_plan)


def _plan(options: argparse.Namespace) -> int:
    from sparkmine.pipeline import Runner

    pipeline = load(options)
    lake, _ = open_lake(pipeline.warehouse, pipeline.name, conf=pipeline.spark)
    decisions = Runner(pipeline, lake, lambda event: None).decisions
    stale: set[str] = set()
    for stage in pipeline.stages:
        changed = [name for name in pipeline.after[stage.name] if name in stale]
        if changed:
            stale.add(stage.name)
            print(f"{stage.name}: runs, because stage {changed[0]} runs")
            continue
        decision = decisions.decide(stage)
        if decision.reason or decision.last is None:
            stale.add(stage.name)
            print(f"{stage.name}: runs, because {decision.reason}")
        else:
            decisions.follow(stage, decision.last, decision.newest)
            print(f"{stage.name}: up to date ({stage.writes} version {decision.last.version})")
    return 0
