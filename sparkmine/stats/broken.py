"""How many rows break each of several conditions, and how many break one of a group of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import Stat


@dataclass(frozen=True)
class BrokenCounts:
    """The answer: `rows` in all, by condition those that break it, by group those it takes."""

    rows: int
    by_condition: tuple[int, ...]
    by_group: tuple[int, ...]


@dataclass(frozen=True)
class Broken(Stat):
    """Conditions as columns of truth values. A row breaks one that is false; null breaks none.

    Attributes:
        names: Of the conditions.
        groups: Each of some conditions, by their number. A row counts for the first group of which
            it breaks a condition.
    """

    names: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def zero(self) -> np.ndarray:
        return np.zeros(1 + len(self.names) + len(self.groups), dtype=np.int64)

    def update(self, state: np.ndarray, arrays: list[pa.Array]) -> np.ndarray:
        arrays = [array.cast(pa.bool_()) for array in arrays]  # null alone has a type of its own
        broken = [_false(array) for array in arrays]
        taken, before = [], 0
        held: pa.Array | None = None  # false where a row breaks a condition of the groups so far
        for group in self.groups:
            for number in group:
                if broken[number]:
                    one = arrays[number]
                    held = one if held is None else pc.and_kleene(held, one)
            so_far = 0 if held is None else _false(held)
            taken.append(so_far - before)
            before = so_far
        return state + np.array([len(arrays[0]), *broken, *taken], dtype=np.int64)

    def merge(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a + b

    def answer(self, state: np.ndarray) -> BrokenCounts:
        rows, *counts = state.tolist()
        split = len(self.names)
        return BrokenCounts(rows, tuple(counts[:split]), tuple(counts[split:]))


def _false(array: pa.BooleanArray) -> int:
    return len(array) - array.null_count - array.true_count
