"""`sparkmine doctor`: check this machine; submitted as `jobs/doctor.py`, the cluster too."""

from __future__ import annotations

import argparse
from typing import Any

from sparkmine.cli.guard import EXIT_ERROR


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="check this machine and say what to do")
    parser.add_argument("--ranks", type=int, default=2, help="training ranks that must fit")
    parser.add_argument("--warehouse", help="a folder that every executor must see and write")
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from sparkmine.doctor import check_all

    failed = 0
    for check in check_all(ranks=options.ranks, warehouse=options.warehouse):
        print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.text}", flush=True)
        failed += not check.ok
    return EXIT_ERROR if failed else 0
