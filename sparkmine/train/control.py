"""The pipe from a rank's process to its Spark task: JSON lines, and a sign of life every second."""

from __future__ import annotations

import json
import os
import threading
from typing import Any, BinaryIO

BEAT_SECONDS = 1.0


class Control:
    """The writing end. Every line is an event: an object with the key `event`."""

    def __init__(self, descriptor: int) -> None:
        self._stream: BinaryIO = os.fdopen(descriptor, "wb", buffering=0)
        self._lock = threading.Lock()

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

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(BEAT_SECONDS):
            self.send("alive")
