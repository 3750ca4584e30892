"""How the kernel shares a rank's core among the rank's threads.

While one thread holds the lock of a connection, Gloo's thread for it does not wait for the lock but
asks the kernel again and again whether there is something to read. A thread that is woken by new
data takes the core from the one that holds the lock, and on a rank with one core it so spends its
time slice (milliseconds) on asking, several times in a reduction. Threads of the batch policy do
not take the core from a running one. With it, a reduction of 300 kB between two ranks with a core
each takes 2.5 ms instead of 6.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_TASKS = Path("/proc/self/task")
_RUNNING = "running"
# The number of the system call on x86-64, the only machines that sparkmine is for.
_EPOLL_WAIT = "232"


def threads() -> set[int]:
    """Return the threads of this process."""
    return {int(task.name) for task in _TASKS.iterdir()}


def wait_politely(started: set[int]) -> None:
    """Keep those of the `started` threads that wait for connections from interrupting others.

    Where the machine does not tell what threads do, nothing changes but the speed.
    """
    for thread in started:
        try:
            if _call(thread) == _EPOLL_WAIT:
                os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
        except OSError:
            continue  # it has ended, or this machine does not tell


def _call(thread: int) -> str:
    """Return the number of the system call in which a thread waits."""
    call = _RUNNING
    for _ in range(100):
        call = (_TASKS / str(thread) / "syscall").read_text().split()[0]
        if call != _RUNNING:
            break
        time.sleep(0.001)
    return call
