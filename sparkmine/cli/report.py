"""`sparkmine report`: where the report of a run is; a page that compares two runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.cli.shared import existing, warehouse_option
from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from sparkmine.lake import Lake

FOLDER = "_reports"


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report", help="print where the report of a run is; with two runs, compare them"
    )
    warehouse_option(parser)
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id; the newest if left out")
    parser.add_argument("other", nargs="?", metavar="OTHER", help="another run, to compare with")
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    lake = existing(options.warehouse)
    if options.other is not None:
        return _compare(lake, options.run, options.other)
    print(f"{lake.root}/{_file_of(lake, options.run)}")
    return 0


def _file_of(lake: Lake, run: str | None) -> str:
    from sparkmine.lake import ledger

    found = [
        row
        for row in ledger.read(lake)
        if row["kind"] == "report"
        and row["status"] in (ledger.SUCCEEDED, ledger.UP_TO_DATE)
        and run in (None, row["run_id"])
    ]
    if not found:
        which = f"run {run!r}" if run else "any run"
        raise ConfigError(f"there is no report of {which} in {lake.root}")
    return str(json.loads(found[-1]["metrics"])["file"])


def _compare(lake: Lake, a: str, b: str) -> int:
    from sparkmine.evaluate.changes import render
    from sparkmine.listing import comparison_lines
    from sparkmine.pipeline.compare import compare

    if not lake.local:
        raise ConfigError(
            f"the warehouse {lake.root} is no mounted folder, so a page cannot be written into it"
        )
    found = compare(lake, a, b)
    page = render(found, Path(lake.root) / FOLDER / f"{a}..{b}.html")
    print("\n".join(comparison_lines(found)))
    print(page)
    return 0
