"""A process that lives and does nothing ends itself; one that does something does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BEGIN = """
import sys, threading, time
from sparkmine.train.control import Control

control = Control(int(sys.argv[1]))
control.start_beating()
control.expect_progress(1.0)
"""
BLOCKED = """
def stuck():
    threading.Lock().acquire() and threading.Event().wait()

stuck()
"""
LOADING = """
from sparkmine.train.loader import prefetched

def rows():
    yield 1
    time.sleep(100)

print(list(prefetched(rows(), depth=1)))
"""
WAITING = """
code = compile("def allreduce(event): event.wait()", "/lib/horovod/tensorflow/mpi_ops.py", "exec")
exec(code)
allreduce(threading.Event())
"""
WORKING = """
for _ in range(6):
    time.sleep(0.5)
    control.advance()
"""


def run(file: Path, text: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of a process that does `text`, and its last events but the signs of life."""
    file.write_text(BEGIN + text)
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, str(file), str(writing)], pass_fds=(writing,)
    ) as process:
        os.close(writing)
        with os.fdopen(reading) as stream:
            events = [json.loads(line) for line in stream]
        status = process.wait(20)
    return status, [event for event in events if event["event"] != "alive"]


@pytest.mark.parametrize(
    ("text", "place", "collateral"),
    [
        (BLOCKED, "it stands at FILE:10 in stuck", False),
        (LOADING, "it stands at FILE:13 in rows", False),
        (WAITING, "it waits for others, or computes one step", True),
    ],
)
def test_a_standstill_ends_it(tmp_path: Path, text: str, place: str, collateral: bool) -> None:
    file = tmp_path / "script.py"
    status, (event,) = run(file, text)
    # Counted in whole seconds; what waits gets twice the time.
    reason = f"no progress for {3 if collateral else 2} s (stall_seconds is 1): "
    assert event["reason"] == reason + place.replace("FILE", str(file))
    assert event["collateral"] is collateral
    assert status == 1


def test_progress_keeps_it_alive(tmp_path: Path) -> None:
    assert run(tmp_path / "script.py", WORKING) == (0, [])
