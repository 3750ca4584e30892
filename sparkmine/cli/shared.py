"""What several commands share: their options, and the lake they open."""

from __future__ import annotations

import argparse
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.cli.guard import interrupted
from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from sparkmine.lake import Lake
    from sparkmine.pipeline import Pipeline

WAREHOUSE = "warehouse/retail"


def pipeline_options(parser: argparse.ArgumentParser) -> None:
    """The pipeline's file, and what changes it."""
    parser.add_argument("config", metavar="CONFIG", help="the pipeline's YAML file")
    parser.add_argument("--warehouse", help="another warehouse than the file's")
    settings_options(parser)


def settings_options(parser: argparse.ArgumentParser) -> None:
    """What changes the pipeline's file."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter, or STAGE.KEY; may be repeated",
    )
    parser.add_argument("--date", help="the run's date, ISO; ${date} in the file")


def warehouse_option(parser: argparse.ArgumentParser) -> None:
    """The warehouse, of commands without a pipeline's file."""
    parser.add_argument("--warehouse", default=WAREHOUSE, help="its folder or URI")


def load(options: argparse.Namespace) -> Pipeline:
    """The pipeline of the options."""
    from sparkmine.pipeline import load_pipeline

    return load_pipeline(
        options.config,
        settings=options.settings,
        date=options.date,
        warehouse=options.warehouse,
    )


def open_lake(
    warehouse: str, name: str, run_id: str | None = None, conf: Any = None
) -> tuple[Lake, Path | None]:
    """The lake, and the log file of the run; Spark starts here and not before."""
    from sparkmine.lake import Lake
    from sparkmine.lake.table import LOGS, check_writable
    from sparkmine.sessions import session

    log_file = None
    if "://" not in warehouse:
        check_writable(Path(warehouse))
        folder = Path(warehouse).absolute() / LOGS
        log_file = folder / f"{run_id or 'commands'}.log"
        folder.mkdir(exist_ok=True)
        handler = logging.FileHandler(log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger("sparkmine")
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    spark = session(f"sparkmine {name}", conf=conf, log_file=log_file)
    # Spark's own handler calls the JVM in the middle of the call that it interrupts.
    signal.signal(signal.SIGINT, interrupted)
    return Lake(warehouse, spark), log_file


def existing(warehouse: str) -> Lake:
    """The lake of a warehouse with runs."""
    if "://" not in warehouse and not Path(warehouse, "_ledger").is_dir():
        raise ConfigError(
            f"there is no run in {warehouse}; name another with --warehouse, or run a pipeline"
        )
    return open_lake(warehouse, "ledger")[0]
