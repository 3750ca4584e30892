"""What the ranks tell the driver while they train: JSON lines over TCP, with a token.

The driver listens at the address that the executors know it by. A rank's Spark task connects,
sends the token and its rank, and forwards the events of its process. Nothing is ever unpickled.
Training does not depend on it: without a connection only the progress is lost.
"""

from __future__ import annotations

import hmac
import json
import logging
import queue
import secrets
import socket
import socketserver
import threading
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

_LINE_BYTES = 8 << 20
_CONNECT_SECONDS = 5.0

Event = dict[str, Any]


class Listener:
    """The driver's end. `events` receives every event, with its `rank`.

    When a connection ends without `done` or `failed`, the event `gone` is put in their place.
    """

    def __init__(self, bind: str) -> None:
        self.token = secrets.token_hex(16)
        self.events: queue.Queue[Event] = queue.Queue()
        self._open = 0
        self._change = threading.Condition()
        listener = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                listener._serve(self)

        self._server = socketserver.ThreadingTCPServer((bind, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="sparkmine-progress", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_closed(self, seconds: float) -> bool:
        """Wait until no rank is connected; return whether that came true in time."""
        with self._change:
            return self._change.wait_for(lambda: self._open == 0, timeout=seconds)

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        handler.connection.settimeout(_CONNECT_SECONDS)
        hello = _parsed(handler.rfile.readline(_LINE_BYTES))
        token, rank = hello.get("token"), hello.get("rank")
        if not isinstance(token, str) or not hmac.compare_digest(token, self.token):
            log.warning("refused a connection without the token from %s", handler.client_address)
            return
        handler.connection.settimeout(None)
        self._count(+1)
        finished = False
        try:
            while line := handler.rfile.readline(_LINE_BYTES):
                event = _parsed(line)
                finished = finished or event.get("event") in {"done", "failed"}
                self.events.put({**event, "rank": rank})
        except OSError:
            pass  # the executor's machine is gone; told below
        finally:
            if not finished:
                self.events.put({"event": "gone", "rank": rank})
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._change:
            self._open += change
            self._change.notify_all()


class Sender:
    """A task's end. Drops events when the driver cannot be reached."""

    def __init__(self, host: str, port: int, token: str, rank: int) -> None:
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        except OSError as error:
            log.warning("rank %d: no progress, driver %s:%d: %s", rank, host, port, error)
        self.send({"token": token, "rank": rank})

    def send(self, event: Event) -> None:
        """Send one event."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps(event).encode() + b"\n")
        except OSError as error:
            log.warning("the driver stopped listening: %s", error)
            self.close()

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _parsed(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
