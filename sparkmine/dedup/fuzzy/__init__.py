"""Fuzzy records: rows of one person, company or product, found by Splink's model and merged."""

from sparkmine.dedup.fuzzy.linking import Example, LinkedRecords, fuzzy_records, measured
from sparkmine.dedup.fuzzy.merge import TAKES, Merge, Merged, merged
from sparkmine.dedup.fuzzy.model import Level
from sparkmine.dedup.fuzzy.settings import KINDS, Comparison, Linkage, Training, check_installed

__all__ = [
    "KINDS",
    "TAKES",
    "Comparison",
    "Example",
    "Level",
    "Linkage",
    "LinkedRecords",
    "Merge",
    "Merged",
    "Training",
    "check_installed",
    "fuzzy_records",
    "measured",
    "merged",
]
