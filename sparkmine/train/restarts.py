"""Trying a fit again after a rank has failed.

Spark never repeats a barrier stage that returns its result, so this is the driver's business. The
ranks themselves go on after the newest checkpoint: a restart is nothing but another launch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sparkmine.errors import RankFailedError, SparkmineError
from sparkmine.train.channel import Event

log = logging.getLogger(__name__)

T = TypeVar("T")

# A cluster manager replaces a lost executor in seconds.
REPLACED_SECONDS = 60.0


def with_restarts(
    attempt: Callable[[], T],
    *,
    most: int,
    check: Callable[[], None],
    on_event: Callable[[Event], None],
) -> T:
    """Return what `attempt` returns; call it again, `most` times, when a rank has failed.

    What is wrong with the data or a setting would be wrong again, and an interrupt is meant: only
    RankFailedError is met with a restart.

    Args:
        check: Waits for the slots of a lost executor; raises where they do not come.
        on_event: Called with `restart`: which it is, of how many, and the reason.

    Raises:
        RankFailedError: it failed once more, or there is nowhere to restart.
    """
    number = 0
    while True:
        try:
            return attempt()
        except RankFailedError as failure:
            if number == most:
                raise
            number += 1
            reason = str(failure.args[0])
            try:
                check()
            except SparkmineError as refusal:
                raise RankFailedError(f"{reason}; no restart: {refusal}") from refusal
            log.warning("restart %d of %d: %s", number, most, reason)
            on_event({"event": "restart", "restart": number, "restarts": most, "reason": reason})
