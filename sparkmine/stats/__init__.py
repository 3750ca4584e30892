"""Mergeable statistics, and the engine that answers any set of them in one scan."""

from sparkmine.stats.base import KeyedStat, Stat
from sparkmine.stats.counts import Counts, KeyedCounts
from sparkmine.stats.engine import Request, StatEngine
from sparkmine.stats.gram import Gram
from sparkmine.stats.moments import GroupedMoments, Moments
from sparkmine.stats.sketch import Sketch

__all__ = [
    "Counts",
    "Gram",
    "GroupedMoments",
    "KeyedCounts",
    "KeyedStat",
    "Moments",
    "Request",
    "Sketch",
    "Stat",
    "StatEngine",
]
