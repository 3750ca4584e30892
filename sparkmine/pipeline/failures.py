"""What ended a stage, as one of our errors."""

from __future__ import annotations

import errno
import re

from sparkmine.errors import InternalError, SparkmineError, WarehouseError, worker_error

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


def of_stage(error: BaseException, stage: str) -> BaseException:
    """The error as one of ours that names the stage: its line may be all that is read."""
    problem = coded(error)
    named = re.compile(rf"\bstage {re.escape(stage)}(?![\w/])")
    if not isinstance(problem, SparkmineError) or named.search(problem.text):
        return problem
    return type(problem)(f"stage {stage}: {problem.text}")


def coded(error: BaseException) -> BaseException:
    """The error as one of ours: errors of Python workers arrive as text inside Spark's."""
    if isinstance(error, SparkmineError) or not isinstance(error, Exception):
        return error
    found = worker_error(error)
    if found is not None:
        return found
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return WarehouseError(
            f"{error.filename or 'a file'} cannot be used ({error.strerror}); free space, or give "
            "this user the right to read and write, and run again"
        )
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return InternalError(f"{type(error).__name__}: {first[:300]}")
