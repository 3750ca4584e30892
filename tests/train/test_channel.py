"""Progress over real sockets, and the places of ranks."""

from __future__ import annotations

import socket
import time

from sparkmine.train.channel import Listener, Sender
from sparkmine.train.task import place_ranks


def test_events_arrive_with_their_rank() -> None:
    with Listener("127.0.0.1") as listener:
        sender = Sender("127.0.0.1", listener.port, listener.token, 3)
        sender.send({"event": "epoch", "loss": 0.25})
        assert listener.events.get(timeout=5) == {"event": "epoch", "loss": 0.25, "rank": 3}
        sender.send({"event": "done"})
        sender.close()
        assert listener.wait_closed(5)
        assert listener.events.get(timeout=5) == {"event": "done", "rank": 3}
        assert listener.events.empty()


def test_a_lost_connection_is_told() -> None:
    with Listener("127.0.0.1") as listener:
        Sender("127.0.0.1", listener.port, listener.token, 1).close()
        assert listener.events.get(timeout=5) == {"event": "gone", "rank": 1}


def test_without_the_token_nothing_is_heard() -> None:
    with Listener("127.0.0.1") as listener:
        for hello in (
            b'{"token": "guess", "rank": 0}\n',
            b"GET / HTTP/1.1\r\n",
            b"\x80\x04K\x01.\n",
        ):
            with socket.create_connection(("127.0.0.1", listener.port)) as stranger:
                stranger.sendall(hello + b'{"event": "epoch"}\n')
        time.sleep(0.3)
        assert listener.events.empty()


def test_without_a_driver_the_sender_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sender = Sender("127.0.0.1", port, "token", 0)
    sender.send({"event": "epoch"})
    sender.close()


def test_places_by_hand() -> None:
    slots = place_ranks(["a", "b", "a", "b", "b"])
    found = [(s.rank, s.local_rank, s.local_size, s.cross_rank, s.cross_size) for s in slots]
    assert found == [
        (0, 0, 2, 0, 2),
        (2, 0, 3, 1, 2),
        (1, 1, 2, 0, 2),
        (3, 1, 3, 1, 2),
        (4, 2, 3, 0, 1),
    ]
    assert {slot.size for slot in slots} == {5}
