"""Deduplication."""

from sparkmine.dedup.exact import exact
from sparkmine.dedup.incremental import NearDuplicateTables
from sparkmine.dedup.near import near_duplicates

__all__ = ["NearDuplicateTables", "exact", "near_duplicates"]
