"""Mergeable statistics, and the engine that answers any set of them in one scan."""

from sparkmine.stats.base import ColumnStat, KeyedStat, Stat
from sparkmine.stats.broken import Broken
from sparkmine.stats.counts import Counts, SelectedCounts
from sparkmine.stats.derive import origin
from sparkmine.stats.engine import StatEngine
from sparkmine.stats.gram import Gram
from sparkmine.stats.memory import Memory
from sparkmine.stats.moments import GroupedMoments, Moments
from sparkmine.stats.sketch import Sketch
from sparkmine.stats.task import Request

__all__ = [
    "Broken",
    "ColumnStat",
    "Counts",
    "Gram",
    "GroupedMoments",
    "KeyedStat",
    "Memory",
    "Moments",
    "Request",
    "SelectedCounts",
    "Sketch",
    "Stat",
    "StatEngine",
    "origin",
]
