"""The `Stat` protocol: a question about columns, answered by a mergeable state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa

if TYPE_CHECKING:
    from sparkmine.stats.derive import Change
    from sparkmine.stats.selected import Selected


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

    @property
    def base(self) -> Stat:
        """The stat whose state answers this one: the same columns without the question."""
        return self

    @abstractmethod
    def zero(self) -> Any:
        """The state of no rows."""

    @abstractmethod
    def update(self, state: Any, arrays: list[pa.Array]) -> Any:
        """The state after these rows; one array for each of `columns`, of equal length."""

    @abstractmethod
    def merge(self, a: Any, b: Any) -> Any:
        """The state of the rows of both."""

    @classmethod
    def update_all(
        cls, stats: Sequence[Self], states: Sequence[Any], arrays: Sequence[list[pa.Array]]
    ) -> list[Any]:
        """The states of several stats of this kind after one block of rows.

        A kind that is asked of very many columns computes them together; its states need only be
        whole again after `settled`.
        """
        triples = zip(stats, states, arrays, strict=True)
        return [stat.update(state, columns) for stat, state, columns in triples]

    def settled(self, state: Any) -> Any:
        """The state as it leaves a task, after its last update or merge."""
        return state

    def answer(self, state: Any) -> Any:
        """What the operator receives; the state itself unless a stat says otherwise."""
        return state

    def refined(self, state: Any) -> Stat | None:
        """A finer stat that must be scanned before the state is good enough, or None."""
        return None


@dataclass(frozen=True)
class ColumnStat(Stat):
    """A stat of one column of numbers, whose state may be known after a change of every value."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @abstractmethod
    def changed(self, state: Any, change: Change) -> Any:
        """The state after a change of every value, in closed form; None where there is none."""


@dataclass(frozen=True)
class KeyedStat(Stat):
    """A stat whose state is a count for each key and may be too large for one process.

    Tasks `split` their states by key, one shuffle brings the pieces of a key together, and each
    reducer answers for its keys. The driver joins what the reducers selected, or, where that is
    too much for it, its first keys.
    """

    keyed: ClassVar[bool] = True

    @property
    @abstractmethod
    def top_k(self) -> int | None:
        """How many keys the question wants, the most frequent ones; None for all."""

    @property
    @abstractmethod
    def min_count(self) -> int:
        """Rows that a key must have."""

    @abstractmethod
    def split(self, state: Any, parts: int) -> list[Any]:
        """The state as `parts` states; a key's part depends on the key alone."""

    @abstractmethod
    def select(self, state: Any) -> Selected:
        """The part of an answer that one reducer gives for its keys."""

    @abstractmethod
    def join(self, selected: Sequence[Any]) -> Selected:
        """The answer, from those of all reducers."""

    @abstractmethod
    def table(self, state: Any) -> pa.Table:
        """The state as columns `key`, `count` (rows of the key) and what else it holds.

        What it holds of all keys together is in a row whose key is null.
        """

    @abstractmethod
    def state(self, table: pa.Table) -> Any:
        """The state that `table` gave."""
