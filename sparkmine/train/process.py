"""A rank's process as its Spark task sees it."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Self

from sparkmine.train import worker
from sparkmine.train.channel import Event

_LAST_LINES = 30


class RankProcess:
    """A fresh Python that trains: its events, its last lines of output, and its certain end."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                # -P keeps the working folder off the import path.
                [sys.executable, "-P", "-m", worker.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={
                    **environment,
                    worker.PARENT: str(os.getpid()),
                    worker.CONTROL: str(writing),
                    worker.FOLDER: str(folder),
                },
                pass_fds=(writing,),
                start_new_session=True,  # its own process group, so that one signal ends it all
            )
        finally:
            os.close(writing)
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        assert self._process.stdout is not None
        self._threads = [
            threading.Thread(target=self._read_events, args=(os.fdopen(reading, "rb"),)),
            threading.Thread(target=self._read_lines, args=(self._process.stdout,)),
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()

    def place(self, variables: dict[str, str]) -> None:
        """Tell the process its place among the ranks."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended already; the watch tells how
            self._process.stdin.write(json.dumps(variables).encode() + b"\n")
            self._process.stdin.flush()

    def event(self, timeout: float) -> Event | None:
        """Return the next event, or None if there is none in time or any more."""
        if self._closed:
            return None
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        self._closed = event is None
        return event

    def ended(self) -> bool:
        """Tell whether no event can come any more."""
        return self._closed

    def kill(self) -> None:
        """Kill the process and what it may have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end, and return the exit status (negative: a signal)."""
        status = self._process.wait()
        for thread in self._threads:
            thread.join(timeout=2.0)
        return status

    def last_lines(self) -> list[str]:
        """Return the last lines of standard output and error."""
        return list(self._lines)

    def _read_events(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._events.put(json.loads(line))
        self._events.put(None)

    def _read_lines(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line.decode(errors="replace").rstrip()[:500])
