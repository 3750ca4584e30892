"""Where a process stands that makes no progress: in work of its own, or waiting for other ranks.

All ranks stand still when one does, each in its next reduction. So a rank looks at the stacks of
its main thread, of those that load rows, and of those in which TensorFlow calls Python. If none of
them does anything but wait for the others, so does the rank.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType

# Frames of waiting itself: what called them is of interest.
_WAITING = ("/threading.py", "/queue.py")
_COMPILED = "/tensorflow/python/eager/execute.py"
_CALLS_PYTHON = "/tensorflow/python/ops/script_ops.py"
_REDUCING = "/horovod/"
# Its threads wait in it for one another, and for the steps.
_LOADER = "/sparkmine/train/loader.py"


def place() -> str | None:
    """Return `file:line in function` of the thread that holds this process up.

    None where it waits for other ranks, or computes in TensorFlow, which cannot be told apart.
    """
    frames = sys._current_frames()
    main = frames.pop(threading.main_thread().ident or 0, None)
    stacks = [list(_outwards(main))]
    stacks += [
        stack
        for stack in map(list, map(_outwards, frames.values()))
        if any(_file(frame).endswith((_LOADER, _CALLS_PYTHON)) for frame in stack)
    ]
    for stack in stacks:
        found = _busy(stack)
        if found is not None:
            return f"{_file(found)}:{found.f_lineno} in {found.f_code.co_name}"
    return None


def _busy(stack: list[FrameType]) -> FrameType | None:
    """Return the innermost frame of a stack that does not only wait."""
    acting = [frame for frame in stack if not _file(frame).endswith(_WAITING)]
    if not acting or _file(acting[0]).endswith((_COMPILED, _LOADER)):
        return None
    return None if any(_REDUCING in _file(frame) for frame in stack) else acting[0]


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename
