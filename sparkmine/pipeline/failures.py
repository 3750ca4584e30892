"""What ended a stage, as one of our errors."""

from __future__ import annotations

import errno
import re

from sparkmine import errors
from sparkmine.errors import InternalError, SparkmineError, WarehouseError

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_WORKER_ERROR = re.compile(r"sparkmine\.[\w.]+\.(\w+): (?:[A-Z_]+: )?(.+)")


def coded(error: BaseException) -> BaseException:
    """The error as one of ours: errors of Python workers arrive as text inside Spark's."""
    if isinstance(error, SparkmineError) or not isinstance(error, Exception):
        return error
    found = _WORKER_ERROR.search(str(error))
    if found:
        kind = getattr(errors, found.group(1), None)
        if isinstance(kind, type) and issubclass(kind, SparkmineError):
            return kind(found.group(2))
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return WarehouseError(
            f"{error.filename or 'a file'} cannot be used ({error.strerror}); free space, or give "
            "this user the right to read and write, and run again"
        )
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return InternalError(f"{type(error).__name__}: {first[:300]}")
