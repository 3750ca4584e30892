"""How often each value of a column occurs.

Integers are counted as integers, by sorting (or by a table where they are close together); all
other values as strings. A state is columnar: sorted keys and their counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.base import KeyedStat, Stat
from sparkmine.stats.selected import Selected, joined_parts

# Integers within this range are counted by a table of it.
_DENSE = 1 << 18
# Keys that wait to be joined before they are: joining costs a sort of all keys so far.
_WAITING = 1 << 16
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class KeyCounts:
    """Distinct `keys` in ascending order (int64 or string), and their `counts` [k]."""

    keys: pa.Array
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True, eq=False)
class CountsState:
    """Pieces that are still to be joined; `waiting` is their number of keys after the first."""

    pieces: tuple[KeyCounts, ...] = ()
    waiting: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectedCounts(Selected):
    """The keys that a question selected, and their `counts` [k].

    Attributes:
        rows: Rows that hold a value, selected or not.
        distinct: Values, selected or not.
    """

    rows: int
    distinct: int

    def part(self, table: pa.Table, start: int) -> SelectedCounts:
        keys, counts = table.column("key").combine_chunks(), table.column("count").to_numpy()
        return replace(self, keys=keys, counts=counts, start=start)


@dataclass(frozen=True)
class Counts(KeyedStat):
    """Counts of the values of one column; nulls are left out.

    The question: only the `top_k` most frequent values, with at least `min_count` rows. What it
    leaves out never reaches the driver.
    """

    column: str
    top_k: int | None = None
    min_count: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def base(self) -> Stat:
        return replace(self, top_k=None, min_count=1)

    def zero(self) -> CountsState:
        return CountsState()

    def update(self, state: CountsState, arrays: list[pa.Array]) -> CountsState:
        return _add(state, (count_values(arrays[0]),))

    def merge(self, a: CountsState, b: CountsState) -> CountsState:
        return _add(a, b.pieces)

    def settled(self, state: CountsState) -> CountsState:
        return CountsState((joined(state),))

    def split(self, state: CountsState, parts: int) -> list[CountsState]:
        whole = joined(state)
        if not len(whole):
            return [CountsState()]
        home = owner(whole.keys, parts)
        pieces = []
        for part in range(parts):
            rows = np.flatnonzero(home == part)
            piece = KeyCounts(whole.keys.take(pa.array(rows)), whole.counts[rows])
            pieces.append(CountsState((piece,)) if len(rows) else CountsState())
        return pieces

    def select(self, state: CountsState) -> SelectedCounts:
        whole = joined(state)
        enough = np.flatnonzero(whole.counts >= self.min_count)
        # Stable: equal counts stay in the order of the keys.
        order = enough[np.argsort(-whole.counts[enough], kind="stable")][: self.top_k]
        return SelectedCounts(
            keys=whole.keys.take(pa.array(order)),
            counts=whole.counts[order],
            size=len(order),
            rows=int(whole.counts.sum()),
            distinct=len(whole),
        )

    def join(self, selected: Sequence[SelectedCounts]) -> SelectedCounts:
        found = [one for one in selected if one.distinct]
        if not found:
            return self.select(self.zero())
        first, size = joined_parts(found, self.top_k)
        return SelectedCounts(
            keys=pa.concat_arrays([one.keys for one in found]).take(pa.array(first)),
            counts=np.concatenate([one.counts for one in found])[first],
            size=size,
            rows=sum(one.rows for one in found),
            distinct=sum(one.distinct for one in found),
        )

    def table(self, state: CountsState) -> pa.Table:
        whole = joined(state)
        return pa.table({"key": whole.keys, "count": whole.counts})

    def state(self, table: pa.Table) -> CountsState:
        keys = table.column("key").combine_chunks()
        return CountsState((KeyCounts(keys, table.column("count").to_numpy()),))


def count_values(array: pa.Array) -> KeyCounts:
    """The distinct values of one array and their counts."""
    array = array.drop_null() if array.null_count else array
    if pa.types.is_integer(array.type):
        keys, counts = _count_integers(array.to_numpy(zero_copy_only=False).astype(np.int64))
        return KeyCounts(pa.array(keys), counts)
    counted = pc.value_counts(pc.cast(array, pa.string()))
    keys, counts = counted.field("values"), counted.field("counts").to_numpy()
    order = pc.array_sort_indices(keys)
    return KeyCounts(keys.take(order), counts[order.to_numpy()])


def joined(state: CountsState) -> KeyCounts:
    """All pieces of a state as one."""
    pieces = [piece for piece in state.pieces if len(piece)]
    if not pieces:
        return KeyCounts(pa.array([], pa.string()), np.zeros(0, np.int64))
    if len(pieces) == 1:
        return pieces[0]
    kind = pieces[0].keys.type
    if any(piece.keys.type != kind for piece in pieces):
        kind = pa.string()
    keys = pa.concat_arrays([piece.keys.cast(kind) for piece in pieces])
    counts = np.concatenate([piece.counts for piece in pieces])
    if pa.types.is_integer(kind):
        numbers = keys.to_numpy()
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        starts = np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
        return KeyCounts(pa.array(numbers[starts]), np.add.reduceat(counts[order], starts))
    summed = pa.table({"key": keys, "count": counts}).group_by("key").aggregate([("count", "sum")])
    summed = summed.sort_by("key").combine_chunks()
    return KeyCounts(summed.column("key").combine_chunks(), summed.column("count_sum").to_numpy())


def _add(state: CountsState, pieces: tuple[KeyCounts, ...]) -> CountsState:
    both = CountsState((*state.pieces, *pieces), state.waiting + sum(map(len, pieces)))
    first = len(both.pieces[0]) if both.pieces else 0
    if len(both.pieces) > 1 and both.waiting > max(_WAITING, first):
        return CountsState((joined(both),))
    return both


def _count_integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(values):
        return values, np.zeros(0, np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low < min(_DENSE, max(4 * len(values), 1024)):
        counts = np.bincount(values - low)
        present = np.flatnonzero(counts)
        return present + low, counts[present]
    ordered = np.sort(values)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[starts], np.diff(np.append(starts, len(ordered)))


def owner(keys: pa.Array, parts: int) -> np.ndarray:
    """The part of each key, by a hash that is the same in every process."""
    if pa.types.is_integer(keys.type):
        mixed = keys.to_numpy().astype(np.uint64) * _MIX
    else:
        mixed = _hash_texts(keys)
    return ((mixed >> np.uint64(33)) % np.uint64(parts)).astype(np.int64)


def _hash_texts(keys: pa.Array) -> np.ndarray:
    """A polynomial hash of the bytes of each string, in whole-array steps."""
    texts = keys.cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    used = data[offsets[0] : offsets[-1]].astype(np.uint64)
    lengths = np.diff(offsets)
    positions = np.arange(len(used)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, _MIX | np.uint64(1)))
        terms = (used + np.uint64(1)) * powers[positions]
        sums = np.add.reduceat(np.append(terms, np.uint64(0)), offsets[:-1] - offsets[0])
    return np.where(lengths > 0, sums, np.uint64(0)) * _MIX
