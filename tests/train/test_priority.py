"""Threads that were started in between become polite, and no others."""

from __future__ import annotations

import os
import threading

from sparkmine.train import priority


def test_started_threads_become_polite() -> None:
    over = threading.Event()
    first, second = (threading.Thread(target=over.wait, daemon=True) for _ in range(2))
    first.start()
    before = priority.threads()
    second.start()
    started = priority.threads() - before
    assert first.native_id is not None and second.native_id is not None
    assert started >= {second.native_id}
    priority.wait_politely({second.native_id, 2**22 + 1})  # no such thread
    assert os.sched_getscheduler(second.native_id) == os.SCHED_BATCH
    assert os.sched_getscheduler(first.native_id) == os.SCHED_OTHER
    over.set()
    for thread in (first, second):
        thread.join()
