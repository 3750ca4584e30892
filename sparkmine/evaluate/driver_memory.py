"""Whether the driver can put together what the bags of many rows found."""

from __future__ import annotations

from collections.abc import Sequence

from sparkmine.errors import DataError
from sparkmine.evaluate.bags import Question

# What the driver needs for a compacted row, and more for each probability that it has: packed, and
# of one model at a time unpacked, ordered and measured.
PACKED_BYTES = 12, 8
UNPACKED_BYTES = 250, 90


def check_driver(rows: Sequence[int], rankings: int, question: Question) -> None:
    """Raise DataError unless this process can have the memory for them.

    Args:
        rows: Of each model, once the bags are compacted.
        rankings: Probabilities that a row has.
    """
    ranked = question.segments if question.kind.needs_ranks([question.metric]) else ()
    packed, unpacked = (row + rankings * number for row, number in (PACKED_BYTES, UNPACKED_BYTES))
    needed = packed * sum(rows) * (1 + len(ranked)) + unpacked * max(rows, default=0)
    free = free_memory()
    if needed > free:
        segments = f", and again for each of the segments {', '.join(ranked)}" if ranked else ""
        raise DataError(
            f"the models have about {sum(rows):,} different predictions{segments}: the driver "
            f"would need {needed / 1e9:.1f} GB to put them together, and {free / 1e9:.1f} GB are "
            "free: round the predictions (to 4 digits, say), measure fewer models at once"
            + (", leave out segments" if ranked else "")
            + ", or take a driver with more memory"
        )


def free_memory() -> int:
    """Bytes that this machine can still give."""
    import psutil

    return int(psutil.virtual_memory().available)
