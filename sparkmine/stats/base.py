"""The `Stat` protocol: a question about columns, answered by a mergeable state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa


@dataclass(frozen=True)
class Stat(ABC):
    """A frozen value that names a state over columns.

    States are deterministic and commutative: `merge` in any order and any partitioning gives
    the same answer (sums to 1e-9 relative). Equal stats are computed once.
    """

    keyed: ClassVar[bool] = False

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, in the order in which `update` receives them."""

    @abstractmethod
    def zero(self) -> Any:
        """The state of no rows."""

    @abstractmethod
    def update(self, state: Any, arrays: list[pa.Array]) -> Any:
        """The state after these rows; one array for each of `columns`, of equal length."""

    @abstractmethod
    def merge(self, a: Any, b: Any) -> Any:
        """The state of the rows of both."""

    def answer(self, state: Any) -> Any:
        """What the operator receives; the state itself unless a stat says otherwise."""
        return state

    def refined(self, answer: Any) -> Stat | None:
        """A finer stat that must be scanned before the answer is good enough, or None."""
        return None


@dataclass(frozen=True)
class KeyedStat(Stat):
    """A stat whose state is a count for each key; the engine sums keys by one shuffle.

    The local state is a dict from key (string) to count. It never reaches the driver whole:
    the answer is a `KeyedCounts`, which collects only what a question selects.
    """

    keyed: ClassVar[bool] = True

    def merge(self, a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        for key, count in b.items():
            a[key] = a.get(key, 0) + count
        return a

    def zero(self) -> dict[str, int]:
        return {}
