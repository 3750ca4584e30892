"""Commands, run in the process and the Spark session of the tests."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from sparkmine.cli import main

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], spark: SparkSession) -> Iterator[Command]:
    """Run a command in this process, in the session of the tests: exit code, output, errors."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logger = logging.getLogger("sparkmine")
    kept = list(logger.handlers), logger.level, logger.propagate

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        return code, *capsys.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for handler in set(logger.handlers) - set(kept[0]):
        logger.removeHandler(handler)
        handler.close()
    logger.level, logger.propagate = kept[1:]
