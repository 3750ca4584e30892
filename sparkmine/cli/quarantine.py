"""`sparkmine quarantine`: rows that broke rules."""

from __future__ import annotations

import argparse
from typing import Any

from sparkmine.cli.shared import WAREHOUSE, existing, load, open_lake, settings_options


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "quarantine", help="show the rows that broke rules, and why; send them through again"
    )
    parser.add_argument("table", metavar="TABLE", help="a cleaned table, or its quarantine")
    parser.add_argument("--warehouse", help=f"its folder or URI ({WAREHOUSE})")
    parser.add_argument("--run", metavar="RUN", help="of this run; the newest if left out")
    parser.add_argument(
        "--again",
        dest="config",
        metavar="CONFIG",
        help="send the rows of the newest result through again, by the rules of this YAML file",
    )
    settings_options(parser)
    parser.set_defaults(command=_quarantine)


def _quarantine(options: argparse.Namespace) -> int:
    from sparkmine.clean.findings import reasons_in, side_of
    from sparkmine.listing import quarantine_lines

    if options.config is not None:
        return _again(options)
    lake = existing(options.warehouse or WAREHOUSE)
    side = side_of(lake.table(options.table))
    print("\n".join(quarantine_lines(side.name, reasons_in(side, options.run))))
    return 0


def _again(options: argparse.Namespace) -> int:
    from sparkmine.pipeline import Runner

    pipeline = load(options)
    lake, _ = open_lake(pipeline.warehouse, pipeline.name, conf=pipeline.spark)
    sent = Runner(pipeline, lake, lambda event: None).again(options.table)
    print(
        f"{sent.table}: {sent.rows:,} rows sent again, {sent.released:,} kept, "
        f"{sent.kept:,} quarantined, {sent.removed:,} removed"
        + (f"; version {sent.version}" if sent.version is not None else "")
    )
    return 0
