"""How the kernel shares a rank's core among the rank's threads.

Horovod's background thread asks the other ranks again and again whether all have something to
reduce, and Gloo has a thread for its connections, which asks the kernel again and again while
another thread holds the lock of one. Each time they take the core from the thread that computes. A
thread of the batch policy does not take the core from a running one: it runs when that waits, as it
does during a reduction, or has used up its time slice. So Horovod may ask often (`CYCLE`), which
makes reductions short, without slowing down the steps in between.
"""

from __future__ import annotations

import os
from pathlib import Path

# Milliseconds between two questions; Horovod's own value, 1, is most of a small reduction.
CYCLE = "0.2"
_TASKS = Path("/proc/self/task")


def threads() -> set[int]:
    """Return the threads of this process."""
    return {int(task.name) for task in _TASKS.iterdir()}


def wait_politely(started: set[int]) -> None:
    """Keep the `started` threads from interrupting others.

    Where the machine does not allow it, nothing changes but the speed.
    """
    for thread in started:
        try:
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
        except OSError:
            continue  # it has ended, or the machine does not allow it
