"""The columns that a stage's block names; `pipeline.columns` looks for them before the work."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sparkmine.expr import parse


@dataclass(frozen=True)
class Need:
    """Columns of the table `table` that the key `key` of a stage's block names."""

    key: str
    table: str
    columns: Collection[str]


def named(key: str, table: str, *columns: str | None) -> Need:
    """The columns that a key names, without those that are left out."""
    return Need(key, table, [name for name in columns if name is not None])


def asked(key: str, table: str, condition: str | None) -> Need:
    """The columns of a condition."""
    return Need(key, table, parse(condition).columns if condition else ())
