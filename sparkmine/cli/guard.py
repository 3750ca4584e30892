"""What every command does about errors and signals.

Exit codes: 0 on success, 1 for a coded error, 2 for wrong usage, 130 when interrupted, 143 when
terminated. Errors are one line on standard error; the stack trace is in the run's log.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from sparkmine.errors import SparkmineError

log = logging.getLogger("sparkmine")

TERMINATED, INTERRUPTED = "TERMINATED: the run was stopped", "INTERRUPTED: the run was stopped"
EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143


def guarded(action: Callable[[], int]) -> int:
    """Do it; turn errors and signals into one line on standard error and an exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return action()
    except SparkmineError as error:
        print(str(error), file=sys.stderr)
        return EXIT_ERROR
    except _Terminated:
        print(f"{TERMINATED}; run again to resume", file=sys.stderr)
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        print(f"{INTERRUPTED}; run again to resume", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as with `sparkmine runs | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from sparkmine.pipeline import coded

        log.exception("unexpected")
        print(str(coded(error)), file=sys.stderr)
        return EXIT_ERROR


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception, so that locks are freed and the ledger gets its line.

    A KeyboardInterrupt, because that is what py4j expects when a call is interrupted: it then
    drops the connection, whose late answer would be taken for that of the next call.
    """


def _terminated(number: int, frame: Any) -> NoReturn:
    raise _Terminated(TERMINATED)


def interrupted(number: int, frame: Any) -> NoReturn:
    """SIGINT, for the time in which Spark runs."""
    raise KeyboardInterrupt(INTERRUPTED)
