"""Delta tables: snapshots of versions, one commit a write, Arrow scans, locks, the ledger."""

from sparkmine.lake.snapshot import DataFile, Snapshot
from sparkmine.lake.table import Lake, Table

__all__ = ["DataFile", "Lake", "Snapshot", "Table"]
