"""The pipe from a rank's process to its Spark task: JSON lines, and a sign of life every second.

The sign of life comes from a thread, so it says nothing of the training. That counts its own
progress, and the thread ends a process whose training stands still.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any, BinaryIO

from sparkmine.train import standstill

BEAT_SECONDS = 1.0


class Control:
    """The writing end. Every line is an event: an object with the key `event`."""

    def __init__(self, descriptor: int) -> None:
        self._stream: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self._lock = threading.Lock()
        self._limit: float | None = None
        self._idle = 0.0

    def start_beating(self) -> None:
        """Send `alive` from a thread: it stops with the process, but not with a long step."""
        threading.Thread(target=self._beat, name="sparkmine-alive", daemon=True).start()

    def send(self, event: str, **values: Any) -> None:
        """Send one event. If nobody listens any more, this process has no reason to live."""
        line = json.dumps({"event": event, **values}).encode() + b"\n"
        with self._lock:
            try:
                self._stream.write(line)
            except BrokenPipeError:
                os._exit(1)

    def expect_progress(self, seconds: float) -> None:
        """From now on, end this process when `advance` is not called for so long.

        A rank that waits for others gets twice the time: the one that holds them up shall be heard.
        """
        self.advance()
        self._limit = seconds

    def advance(self) -> None:
        """Note that something was done: a batch read, a step, an epoch."""
        self._idle = 0.0

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(BEAT_SECONDS):
            self.send("alive")
            # Counted in beats: time in which this process was stopped is no standstill.
            self._idle += BEAT_SECONDS
            if self._limit is not None and self._idle > self._limit:
                self._end_standstill(self._limit)

    def _end_standstill(self, limit: float) -> None:
        place = standstill.place()
        if place is None and self._idle <= 2 * limit:
            return
        stands = f"it stands at {place}" if place else "it waits for others, or computes one step"
        reason = f"no progress for {self._idle:g} s (stall_seconds is {limit:g}): {stands}"
        self.send("failed", reason=reason, collateral=place is None)
        os._exit(1)
