"""Deduplication."""

from sparkmine.dedup.exact import exact
from sparkmine.dedup.fuzzy import fuzzy_records
from sparkmine.dedup.incremental import NearDuplicateTables
from sparkmine.dedup.near import near_duplicates

__all__ = ["NearDuplicateTables", "exact", "fuzzy_records", "near_duplicates"]
