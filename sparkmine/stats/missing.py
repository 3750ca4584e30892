"""How many values of a column are missing, for a column of any type."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import Stat


@dataclass(frozen=True)
class MissingState:
    """`missing` of `rows` are null or NaN."""

    rows: int = 0
    missing: int = 0

    @property
    def share(self) -> float:
        """The share of missing values; 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Missing(Stat):
    """Rows, and those of them without a value: null, or NaN in a column of numbers."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def zero(self) -> MissingState:
        return MissingState()

    def update(self, state: MissingState, arrays: list[pa.Array]) -> MissingState:
        empty = pc.is_null(arrays[0], nan_is_null=pa.types.is_floating(arrays[0].type))
        return self.merge(state, MissingState(len(arrays[0]), pc.sum(empty).as_py() or 0))

    def merge(self, a: MissingState, b: MissingState) -> MissingState:
        return MissingState(a.rows + b.rows, a.missing + b.missing)
