"""`sparkmine maintain`: compact and vacuum the tables."""

from __future__ import annotations

import argparse
import time
from typing import Any

from sparkmine.cli.shared import load, open_lake, pipeline_options
from sparkmine.errors import ConfigError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "maintain", help="compact and vacuum the tables; what runs have read lately stays"
    )
    pipeline_options(parser)
    parser.add_argument(
        "--days", type=int, default=30, help="keep what runs of these days have read (default 30)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.set_defaults(command=_maintain)


def _maintain(options: argparse.Namespace) -> int:
    from sparkmine.listing import upkeep_line
    from sparkmine.pipeline.maintain import maintain_pipeline

    if options.days < 0:
        raise ConfigError(f"--days {options.days}: give a number of days from 0 on")
    pipeline = load(options)
    lake, _ = open_lake(pipeline.warehouse, pipeline.name, conf=pipeline.spark)
    began, tables = time.monotonic(), 0
    for upkeep in maintain_pipeline(pipeline, lake, options.days, options.dry_run):
        tables += 1
        print(upkeep_line(upkeep, options.days, options.dry_run), flush=True)
    print(
        f"{'looked at' if options.dry_run else 'maintained'} {tables} tables in "
        f"{time.monotonic() - began:.1f} s; what runs of the last {options.days} days have read "
        "is kept"
    )
    return 0
