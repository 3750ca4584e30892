"""How often each bucket of a number meets each class of a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import DataError
from sparkmine.stats.base import Stat
from sparkmine.stats.moments import MAX_CLASSES

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Contingency(Stat):
    """Counts by class, [buckets] each; rows without a class, null and NaN are left out.

    The answer is a dict from class (as string) to int64 counts. A value is in the bucket of the
    number of `edges` at or below it; infinities are in the first and the last one.
    """

    column: str
    by: str
    edges: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.by)

    def zero(self) -> Table:
        return {}

    def update(self, state: Table, arrays: list[pa.Array]) -> Table:
        numbers = pc.cast(arrays[0], pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        encoded = pc.dictionary_encode(pc.cast(arrays[1], pa.string()))
        classes = encoded.dictionary.to_pylist()
        labels = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        known = ~np.isnan(numbers) & (labels >= 0)
        size = len(self.edges) + 1
        index = np.searchsorted(np.asarray(self.edges), numbers[known], side="right")
        cells = np.bincount(labels[known] * size + index, minlength=len(classes) * size)
        table = cells.reshape(len(classes), size).astype(np.int64)
        return self.merge(state, dict(zip(classes, table, strict=True)))

    def merge(self, a: Table, b: Table) -> Table:
        empty = np.zeros(len(self.edges) + 1, np.int64)
        merged = {key: a.get(key, empty) + b.get(key, empty) for key in sorted({*a, *b})}
        if len(merged) > MAX_CLASSES:
            raise DataError(f"label {self.by!r} has more than {MAX_CLASSES} classes")
        return merged
