"""Threads that wait for connections, and those that do not."""

from __future__ import annotations

import os
import select
import threading
import time

from sparkmine.train import priority


def test_threads_that_poll_become_polite() -> None:
    over = threading.Event()
    poll = select.epoll()
    polling = threading.Thread(target=lambda: poll.poll(timeout=20, maxevents=1), daemon=True)
    waiting = threading.Thread(target=over.wait, daemon=True)
    before = priority.threads()
    for thread in (polling, waiting):
        thread.start()
    started = priority.threads() - before
    assert started >= {polling.native_id, waiting.native_id}
    time.sleep(0.1)
    priority.wait_politely(started | {2**22 + 1})  # no such thread
    assert polling.native_id is not None
    assert waiting.native_id is not None
    assert os.sched_getscheduler(polling.native_id) == os.SCHED_BATCH
    assert os.sched_getscheduler(waiting.native_id) == os.SCHED_OTHER
    over.set()
    waiting.join()
    # Ends the polling one.
    read, write = os.pipe()
    poll.register(read, select.EPOLLIN)
    os.write(write, b".")
    polling.join(timeout=5)
    for descriptor in (read, write):
        os.close(descriptor)
