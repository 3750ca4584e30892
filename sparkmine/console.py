"""What a run shows: a live table on a terminal, plain lines without one, or JSON lines."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

Event = Mapping[str, Any]


class Console(Protocol):
    """Takes the events of a run; a context manager, so that the terminal is always restored."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, event: Event) -> None: ...


def console(json_lines: bool = False, stream: TextIO | None = None) -> Console:
    """The console that fits: JSON if asked, a live table on a terminal, else plain lines."""
    out = stream or sys.stdout
    if json_lines:
        return JsonConsole(out)
    return LiveConsole(out) if out.isatty() else PlainConsole(out)


class _Base:
    def __init__(self, out: TextIO) -> None:
        self.out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def say(self, line: str) -> None:
        """Print a line. A run goes on when nobody listens any more, as after `| head`."""
        try:
            print(line, file=self.out, flush=True)
        except BrokenPipeError:
            # Python writes what is left when it ends; let that go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())


class JsonConsole(_Base):
    """One JSON object a line, each with time, run and stage."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._run = ""

    def __call__(self, event: Event) -> None:
        self._run = str(event.get("run_id", self._run))
        line = {"at": round(time.time(), 3), "run": self._run, "stage": "", **event}
        self.say(json.dumps(line, default=str))


class PlainConsole(_Base):
    """One line for each stage that starts, reports an epoch, or ends."""

    def __call__(self, event: Event) -> None:
        line = plain_line(event)
        if line:
            self.say(line)


def plain_line(event: Event) -> str | None:
    """An event as one line of text; None for what is too fine for a log."""
    kind, stage = event["event"], event.get("stage", "")
    if kind == "run":
        return (
            f"run {event['run_id']}: {event['pipeline']}, {len(event['stages'])} stages, date "
            f"{event['date']}, warehouse {event['warehouse']}"
        )
    if kind == "report":
        return f"report: {event['file']}"
    if kind == "verdict":
        return str(event["text"])
    if kind == "end":
        return f"done in {event['seconds']:.1f} s"
    if kind == "progress" and event["what"] == "restart":
        return f"{stage}: {_restart_text(event)}"
    if kind == "progress" and event["what"] == "checkpoint":
        return f"{stage}: {event['text']}"
    if kind == "progress":
        return f"{stage}: {progress_text(event)}" if event["what"] == "epoch" else None
    if event["status"] == "running":
        return f"{stage}: runs, because {event['reason']}"
    if event["status"] == "failed":
        return f"{stage}: failed after {event['seconds']:.1f} s"
    if event["status"] == "skipped":
        return f"{stage}: left as it is"
    counts = ", ".join(
        f"{event[key]:,} {label}"
        for key, label in _COUNTS.items()
        if event.get(key) is not None and (event[key] or not key.startswith(("q", "removed")))
    )
    return f"{stage}: {event['status']}{', ' + counts if counts else ''}, {event['seconds']:.1f} s"


_COUNTS = {
    "rows_in": "rows in",
    "rows_out": "rows out",
    "quarantined": "quarantined",
    "removed": "removed",
}


_UNSAID = ("seconds", "seconds_left", "rows_per_second", "learning_rate")


def progress_text(event: Event) -> str:
    """Training progress: epoch, step within it, metrics, and the time left."""
    parts = [f"epoch {event['epoch']}/{event['epochs']}"]
    if "step" in event:
        parts.append(f"step {event['step']}/{event['steps']}")
    parts += [
        f"{name} {value:.4f}"
        for name, value in event.items()
        if isinstance(value, float) and name not in _UNSAID
    ]
    if event.get("rows_per_second"):
        parts.append(f"{event['rows_per_second']:,.0f} rows/s")
    if event.get("over"):
        parts.append("stopped early")
    if event.get("seconds_left"):
        parts.append(f"{event['seconds_left']:.0f} s left")
    return " ".join(parts)


def _restart_text(event: Event) -> str:
    return f"restart {event['restart']} of {event['restarts']}, because {event['reason']}"


class LiveConsole(_Base):
    """A table that is drawn again in place while the run goes on."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._rows: dict[str, dict[str, Any]] = {}
        self._title = ""
        self._began: dict[str, float] = {}
        self._over = False
        self._last: list[str] = []
        self._screen = RichConsole(file=out)
        self._live = Live(
            get_renderable=self._table,
            console=self._screen,
            refresh_per_second=4,
            transient=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over = True
        self._live.stop()
        self._say_last()

    def _say_last(self) -> None:
        """Print what belongs below the finished table."""
        for line in self._last:
            self._screen.print(line, highlight=False, markup=False, soft_wrap=True)
        self._last = []

    def __call__(self, event: Event) -> None:
        if event["event"] in ("report", "verdict", "end"):
            self._last.append(plain_line(event) or "")
            if self._over:
                self._say_last()
        elif event["event"] == "run":
            self._title = f"{event['pipeline']} · {event['date']} · run {event['run_id']}"
            self._rows = {name: {"status": "waiting"} for name in event["stages"]}
        elif event["event"] == "stage":
            row = self._rows.setdefault(event["stage"], {})
            reason = event.get("reason")
            # Before the row: another thread draws the table.
            self._began.setdefault(event["stage"], time.monotonic())
            row.update(event, note=f"runs, because {reason}" if reason else "")
        elif event["event"] == "progress" and event["what"] in ("step", "epoch"):
            self._rows[event["stage"]]["note"] = progress_text(event)
        elif event["event"] == "progress" and event["what"] == "restart":
            self._rows[event["stage"]]["note"] = _restart_text(event)

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(self._title),
            title_justify="left",
            caption=Text(self._note()),
            caption_justify="left",
            box=box.SIMPLE_HEAD,
        )
        # The first column alone gives way on a narrow screen.
        table.add_column("stage", overflow="ellipsis")
        table.add_column("status", no_wrap=True)
        for name in ("rows in", "rows out", "quarantined", "removed", "seconds"):
            table.add_column(name, justify="right", no_wrap=True)
        shown = self._shown()
        if len(shown) < len(self._rows):
            table.add_row(f"… {len(self._rows) - len(shown)} more", style="dim")
        for name, row in shown.items():
            seconds = row.get("seconds")
            if row["status"] == "running":
                seconds = time.monotonic() - self._began[name]
            counts = [row.get(key) for key in _COUNTS]
            table.add_row(
                name,
                f"[{_COLOURS.get(row['status'], 'dim')}]{row['status']}[/]",
                *("" if count is None else f"{count:,}" for count in counts),
                "" if seconds is None else f"{seconds:.1f}",
            )
        return table

    def _note(self) -> str:
        """What the running stage says: why it runs, and how far it is."""
        notes = (
            f"{name}: {row['note']}"
            for name, row in self._rows.items()
            if row["status"] == "running" and row.get("note")
        )
        return "" if self._over else next(notes, "")

    def _shown(self) -> dict[str, dict[str, Any]]:
        """The stages that fit on the screen: those around the one that runs; at the end, all."""
        room = self._screen.size.height - _FRAME_LINES
        if self._over or len(self._rows) <= room:
            return self._rows
        begun = sum(row["status"] != "waiting" for row in self._rows.values())
        end = min(max(begun + 1, room), len(self._rows))
        return dict(list(self._rows.items())[max(end - room, 0) : end])


# The table's title, head and edges, what is left out, two lines of notes, and the cursor's line.
_FRAME_LINES = 9
_COLOURS = {"running": "yellow", "done": "green", "up to date": "cyan", "failed": "bold red"}
