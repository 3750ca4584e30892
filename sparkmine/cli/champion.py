"""`sparkmine champion`: the versions of the model in use, and the way back to one of them."""

from __future__ import annotations

import argparse
from typing import Any

from sparkmine.cli.shared import existing, warehouse_option


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "champion", help="list the versions of the model in use; take an earlier one back"
    )
    parser.add_argument("table", metavar="TABLE", help="the champion's table: champions/NAME")
    warehouse_option(parser)
    parser.add_argument(
        "--roll-back",
        type=lambda text: int(text) if text.isdecimal() else text,
        metavar="VERSION|MODEL",
        help="make this version the champion again, or the newest earlier one of this model",
    )
    parser.set_defaults(command=_champion)


def _champion(options: argparse.Namespace) -> int:
    from sparkmine.listing import champion_lines
    from sparkmine.pipeline.champion import history, roll_back

    lake = existing(options.warehouse)
    if options.roll_back is not None:
        row = roll_back(lake, options.table, options.roll_back)
        print(f"{options.table}: version {row['version']} is {row['model']}, {row['why']}")
        return 0
    print("\n".join(champion_lines(history(lake, options.table)[1])))
    return 0
