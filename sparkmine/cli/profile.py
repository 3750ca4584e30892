"""`sparkmine profile`: a page about a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sparkmine.cli.shared import open_lake, warehouse_option
from sparkmine.errors import ConfigError


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("profile", help="look at a table: one scan, one HTML page")
    parser.add_argument("table", metavar="TABLE", help="its name, such as clean/transactions")
    parser.add_argument("--version", type=int, metavar="N", help="the newest if left out")
    parser.add_argument("--against", type=int, metavar="N", help="show the drift since this one")
    parser.add_argument("--columns", metavar="A,B", help="look at these columns only")
    parser.add_argument("--output", metavar="FILE", help="the page; by default in this folder")
    warehouse_option(parser)
    parser.set_defaults(command=_profile)


def _profile(options: argparse.Namespace) -> int:
    from sparkmine.evaluate.profile import profile

    if "://" not in options.warehouse and not Path(options.warehouse).is_dir():
        raise ConfigError(
            f"there is no warehouse {options.warehouse}; name another with --warehouse"
        )
    table = open_lake(options.warehouse, "profile")[0].table(options.table)
    snapshot = table.snapshot(options.version)
    found = profile(
        snapshot,
        against=None if options.against is None else table.snapshot(options.against),
        name=options.table,
        columns=options.columns.split(",") if options.columns else None,
        spark=table.lake.spark,
    )
    file = f"profile-{options.table.replace('/', '-')}-{snapshot.version}.html"
    print(found.to_html(options.output or file).absolute())
    return 0
