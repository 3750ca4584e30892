"""`sparkmine run`: run a pipeline and show it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from sparkmine.cli.guard import log
from sparkmine.cli.shared import load, open_lake, pipeline_options
from sparkmine.errors import SparkmineError

if TYPE_CHECKING:
    from sparkmine.pipeline import Pipeline


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run", help="run a pipeline; stages that are up to date are skipped"
    )
    pipeline_options(parser)
    parser.add_argument(
        "--from", dest="start", metavar="STAGE", help="leave stages before it as they are"
    )
    parser.add_argument("--only", metavar="STAGE", help="leave all other stages as they are")
    parser.add_argument("--force", action="store_true", help="run stages even if nothing changed")
    parser.add_argument("--log-json", action="store_true", help="print JSON lines")
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    from sparkmine.console import console

    run_pipeline(
        load(options),
        console(options.log_json),
        start=options.start,
        only=options.only,
        force=options.force,
    )
    return 0


def run_pipeline(pipeline: Pipeline, output: Any, **selection: Any) -> None:
    """Run a checked pipeline and show it on a console (`sparkmine.console`)."""
    from sparkmine.pipeline import Runner, new_run_id

    for name in (selection.get("start"), selection.get("only")):
        if name is not None:
            pipeline.stage(name)
    run_id = new_run_id()
    lake, log_file = open_lake(pipeline.warehouse, pipeline.name, run_id, pipeline.spark)
    try:
        with output:
            commits = Runner(pipeline, lake, output, run_id).run(**selection)
    except SparkmineError:
        log.exception("run %s failed", run_id)
        if log_file is not None:
            print(f"log: {log_file}", file=sys.stderr)
        raise
    for commit in commits.values():
        data = commit.metadata or {}
        if data["kind"] == "report":
            output({"event": "report", "file": f"{lake.root}/{data['metrics']['file']}"})
        if "verdict" in data["metrics"]:
            output({"event": "verdict", "text": data["metrics"]["verdict"]})
