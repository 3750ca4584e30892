"""The command line: `sparkmine COMMAND`; `sparkmine --help` lists the commands.

Each command is a module here, with its options and what it does; `guard.py` has the exit codes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import sparkmine
from sparkmine.cli import (
    champion,
    doctor,
    maintain,
    plan,
    profile,
    quarantine,
    replay,
    report,
    run,
    runs,
)
from sparkmine.cli.guard import guarded
from sparkmine.cli.run import run_pipeline

__all__ = ["guarded", "main", "run_pipeline"]

# As `sparkmine --help` lists them.
_COMMANDS = (run, plan, runs, quarantine, report, champion, replay, maintain, profile, doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="sparkmine", description="Distributed data mining on Spark, Delta and Horovod."
    )
    parser.add_argument("--version", action="version", version=f"sparkmine {sparkmine.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    return guarded(lambda: int(options.command(options)))
