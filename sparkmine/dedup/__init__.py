"""Deduplication."""

from sparkmine.dedup.exact import exact
from sparkmine.dedup.near import near_duplicates

__all__ = ["exact", "near_duplicates"]
