"""What is in a table: one scan, a profile as plain data, and a page to look at."""

from sparkmine.evaluate.profile.data import (
    Change,
    ColumnProfile,
    Correlations,
    Distribution,
    Drift,
    Finding,
    Profile,
    TopValue,
)
from sparkmine.evaluate.profile.profiling import profile

__all__ = [
    "Change",
    "ColumnProfile",
    "Correlations",
    "Distribution",
    "Drift",
    "Finding",
    "Profile",
    "TopValue",
    "profile",
]
