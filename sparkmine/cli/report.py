"""`sparkmine report`: where the report of a run is."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sparkmine.cli.shared import existing, warehouse_option
from sparkmine.errors import ConfigError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("report", help="print where the report of a run is")
    warehouse_option(parser)
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id; the newest if left out")
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from sparkmine.lake import ledger

    lake = existing(options.warehouse)
    found = [
        row
        for row in ledger.read(lake)
        if row["kind"] == "report"
        and row["status"] in (ledger.SUCCEEDED, ledger.UP_TO_DATE)
        and options.run in (None, row["run_id"])
    ]
    if not found:
        which = f"run {options.run!r}" if options.run else "any run"
        raise ConfigError(f"there is no report of {which} in {options.warehouse}")
    print(f"{lake.root}/{json.loads(found[-1]['metrics'])['file']}")
    return 0
