"""OS locks between processes of one machine.

Delta on a local disk has no atomic "create if absent" between processes, so two writers can
lose a commit. A lock is held by an open file: it ends with its process, however that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from sparkmine.errors import LockedError, WarehouseError


@contextlib.contextmanager
def lock(path: Path, what: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path`; wait up to `wait` seconds for another holder.

    Raises:
        LockedError: it is still held; names `what` and the holder's process id.
        WarehouseError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise WarehouseError(
            f"the lock {path} cannot be made ({error.strerror}), so {what} is left as it is; give "
            "this user the right to write there, or free space"
        ) from None
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
                    raise LockedError(
                        f"{what} is in use by process {holder}; wait for it to end"
                    ) from None
                time.sleep(0.05)
        with contextlib.suppress(OSError):  # a disk that is full has no room for the number
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
