"""`sparkmine runs`: what the ledger says."""

from __future__ import annotations

import argparse
from typing import Any

from sparkmine.cli.shared import existing, open_lake, warehouse_option


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("runs", help="list the runs in a warehouse")
    warehouse_option(parser)
    parser.add_argument(
        "--rebuild", action="store_true", help="rebuild the ledger from the commits"
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="show the stages of this run")
    parser.set_defaults(command=_runs)


def _runs(options: argparse.Namespace) -> int:
    from sparkmine.lake import ledger
    from sparkmine.listing import run_lines, stage_lines

    if options.rebuild:
        lake = open_lake(options.warehouse, "ledger")[0]
        print(f"{ledger.rebuild(lake)} lines")
    else:
        lake = existing(options.warehouse)
    rows = ledger.read(lake)
    if options.run is not None:
        print("\n".join(stage_lines(ledger.of_run(rows, options.run))))
    else:
        print("\n".join(run_lines(rows)))
    return 0
