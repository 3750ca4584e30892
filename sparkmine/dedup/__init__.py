"""Deduplication."""

from sparkmine.dedup.exact import exact

__all__ = ["exact"]
