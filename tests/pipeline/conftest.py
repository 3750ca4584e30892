"""The command line as a process of its own, which tests kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def _started(file: Path, warehouse: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """`sparkmine COMMAND` in a process group of its own, which has ended afterwards."""
    # What a killed process leaves goes with the test's folder.
    temporary = file.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "sparkmine.cli", *command, "--warehouse", str(warehouse)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={
            **os.environ,
            "SPARKMINE_MASTER": "local[2]",
            "SPARK_LOCAL_DIRS": str(temporary),
            "TMPDIR": str(temporary),
            "JDK_JAVA_OPTIONS": f"-Djava.io.tmpdir={temporary}",
        },
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def _kill_at(entry: Path, file: Path, warehouse: Path, *command: str) -> None:
    """Run a command, and SIGKILL driver and JVM as soon as a table's log has this entry."""
    with _started(file, warehouse, *command) as process:
        while not entry.exists():
            if process.poll() is not None:
                assert process.stdout is not None
                raise AssertionError(f"it ended before {entry}: {process.stdout.read()}")
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def started() -> Callable[..., Any]:
    return _started


@pytest.fixture
def kill_at() -> Callable[..., None]:
    return _kill_at
