"""What a run shows: plain lines, JSON lines, and the table on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import pytest

from sparkmine.console import Console, console

STAGES = [f"stage_{number}" for number in range(30)]
RUN = {
    "event": "run",
    "run_id": "R1",
    "pipeline": "shop",
    "date": "2026-01-31",
    "stages": STAGES,
    "warehouse": "/lake",
}


def running(name: str) -> Mapping[str, Any]:
    return {"event": "stage", "stage": name, "status": "running", "reason": "forced"}


def done(name: str, **counts: int) -> Mapping[str, Any]:
    return {"event": "stage", "stage": name, "status": "done", "seconds": 1.25, **counts}


EPOCH = {
    "event": "progress",
    "what": "epoch",
    "stage": "stage_1",
    "epoch": 2,
    "epochs": 6,
    "loss": 0.54321,
    "val_auc": 0.81,
    "rows_per_second": 70353.0,
}
FAILED = {"event": "stage", "stage": "stage_1", "status": "failed", "seconds": 2.0, "error": "X: y"}


def said(*events: Mapping[str, Any], json_lines: bool = False) -> list[str]:
    out = io.StringIO()
    with console(json_lines, out) as show:
        for event in events:
            show(event)
    return out.getvalue().splitlines()


def test_plain_lines() -> None:
    counts = {"rows_in": 1469307, "rows_out": 1460438, "quarantined": 8869, "removed": 0}
    lines = said(
        RUN, running("stage_0"), done("stage_0", **counts), running("stage_1"), EPOCH, FAILED
    )
    assert lines == [
        "run R1: shop, 30 stages, date 2026-01-31, warehouse /lake",
        "stage_0: runs, because forced",
        "stage_0: done, 1,469,307 rows in, 1,460,438 rows out, 8,869 quarantined, 1.2 s",
        "stage_1: runs, because forced",
        "stage_1: epoch 2/6 loss 0.5432 val_auc 0.8100 70,353 rows/s",
        "stage_1: failed after 2.0 s",
    ]


def test_a_restart_says_why() -> None:
    event = {"event": "progress", "what": "restart", "stage": "stage_1", "restart": 1}
    lines = said({**event, "restarts": 2, "reason": "rank 1 of 2 died"})
    assert lines == ["stage_1: restart 1 of 2, because rank 1 of 2 died"]


def test_what_is_said_of_checkpoints_is_a_line() -> None:
    event = {"event": "progress", "what": "checkpoint", "stage": "stage_1", "warning": True}
    assert said({**event, "text": "epoch-00002 is damaged"}) == ["stage_1: epoch-00002 is damaged"]


def test_steps_are_too_fine_for_a_log() -> None:
    assert said({**EPOCH, "what": "step", "step": 3, "steps": 9}) == []


def test_json_lines_carry_run_and_stage() -> None:
    lines = [json.loads(line) for line in said(RUN, EPOCH, json_lines=True)]
    assert [(line["run"], line["stage"]) for line in lines] == [("R1", ""), ("R1", "stage_1")]
    assert all(isinstance(line["at"], float) for line in lines)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> TextIO:
    """A stream that leads to a terminal of 100 by 24 characters, as far as the program sees."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def screen(show: Console, out: Any) -> list[str]:
    """The lines of the table as it would be drawn now."""
    out.seek(0)
    out.truncate()
    show._live.refresh()  # type: ignore[attr-defined]
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out.getvalue()).splitlines()


def test_the_table_shows_what_runs_on_a_low_terminal(terminal: TextIO) -> None:
    with console(stream=terminal) as show:
        show(RUN)
        show(running("stage_0"))
        assert any("stage_0" in line and "running" in line for line in screen(show, terminal))
        for name in STAGES[:28]:
            show(running(name))
            show(done(name, rows_out=1234))
        show(running("stage_28"))
        show({**EPOCH, "stage": "stage_28"})
        lines = screen(show, terminal)
        assert len(lines) <= 24 and max(map(len, lines)) <= 100
        assert any("stage_28" in line and "running" in line for line in lines)
        assert any("stage_28: epoch 2/6 loss 0.5432" in line for line in lines)
        assert any("stage_27" in line and "1,234" in line for line in lines)
        assert not any("stage_3 " in line for line in lines)
        assert any("more" in line for line in lines)
        terminal.seek(0)
        terminal.truncate()
        show({"event": "end", "seconds": 3.0})
    left = terminal.getvalue()
    assert all(f"{name} " in left for name in STAGES)  # the end shows all of it
    assert "\x1b[?25h" in left  # the cursor is back
    assert left.splitlines()[-1].endswith("done in 3.0 s")


def test_the_kind_of_console_follows_the_stream() -> None:
    master, slave = pty.openpty()
    try:
        with os.fdopen(slave, "w") as stream, Path(os.devnull).open("w") as file:
            assert type(console(stream=stream)).__name__ == "LiveConsole"
            assert type(console(True, stream)).__name__ == "JsonConsole"
            assert type(console(stream=file)).__name__ == "PlainConsole"
    finally:
        os.close(master)
