"""What the tasks of a scan do: update all states over their blocks, merge states, answer questions.

Rows between tasks are `(stat, bucket, part, state)`: the number of the stat, where its next merge
happens, which task it is from, and the state. Answers of keyed stats have the number -1 - question
and pass further merges. States are pickled: our own bytes between our own processes of one job, as
Spark itself ships closures.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparkmine.expr import Expr, evaluate
from sparkmine.stats.base import KeyedStat, Stat
from sparkmine.stats.memory import read_counts

SCHEMA = "stat int, bucket int, part int, state binary"
_ARROW = pa.schema(
    [
        pa.field("stat", pa.int32()),
        pa.field("bucket", pa.int32()),
        pa.field("part", pa.int32()),
        pa.field("state", pa.binary()),
    ]
)
# An update costs the same Python for ten rows as for ten thousand.
_BLOCK_BYTES = 1 << 25

Row = tuple[int, int, int, Any]


@dataclass(frozen=True)
class Request:
    """A stat and, for each of its columns, the expression over the table that gives it."""

    stat: Stat
    inputs: tuple[Expr, ...]

    @property
    def key(self) -> tuple[Stat, str]:
        """Equal for equal questions about equal columns."""
        return self.stat, " ".join(text_of(expr) for expr in self.inputs)

    @property
    def base(self) -> Request:
        """What must be scanned for it."""
        return replace(self, stat=self.stat.base)


@dataclass(frozen=True)
class Earlier:
    """Stands for a keyed state that an earlier fit left in a file: only its reducer reads it."""

    file: Path


def text_of(expr: Expr) -> str:
    return json.dumps(expr.to_json(), sort_keys=True)


def scanned(
    requests: Sequence[Request],
    blocks: Iterable[pa.Table | pa.RecordBatch],
    *,
    part: int,
    buckets: int,
    group: int,
) -> Iterator[Row]:
    """The states of one task's blocks: keyed ones split into `buckets`, the others whole, to be
    merged in the bucket `group`."""
    states = _states(requests, blocks)
    for number, (request, state) in enumerate(zip(requests, states, strict=True)):
        if isinstance(request.stat, KeyedStat):
            for bucket, piece in enumerate(request.stat.split(state, buckets)):
                yield number, bucket, part, piece
        else:
            yield number, group, part, state


def merged(requests: Sequence[Request], rows: Iterable[Row]) -> Iterator[Row]:
    """One state for each stat and bucket of `rows`, merged in the order of the parts."""
    found: dict[tuple[int, int], list[tuple[int, Any]]] = {}
    for number, bucket, part, state in rows:
        if number < 0:
            yield number, bucket, part, state
        else:
            found.setdefault((number, bucket), []).append((part, state))
    for (number, bucket), parts in sorted(found.items()):
        stat = requests[number].stat
        if isinstance(stat, KeyedStat):
            parts = [(part, _read(stat, state)) for part, state in parts]
        yield number, bucket, parts[0][0], stat.settled(merge_parts(stat, parts))


def _read(stat: KeyedStat, state: Any) -> Any:
    return stat.state(read_counts(state.file)) if isinstance(state, Earlier) else state


def merge_parts(stat: Stat, parts: list[tuple[int, Any]]) -> Any:
    """Merge states in the order of their parts, so that sums are the same in every run."""
    state = None
    for _, other in sorted(parts, key=lambda item: item[0]):
        state = other if state is None else stat.merge(state, other)
    return state


def selected(
    requests: Sequence[Request],
    stats: Sequence[tuple[int, Stat]],
    rows: Iterable[Row],
    keep: Callable[[int, int, Any], None],
    answer: Callable[[KeyedStat, Any], Any],
) -> Iterator[Row]:
    """Merged states, and in place of keyed ones the answers of questions to them, given as (number
    of the state, stat). `keep(number, bucket, state)` gets every keyed state whole,
    `answer(stat, state)` answers for it."""
    asked: dict[int, list[tuple[int, KeyedStat]]] = {}
    for question, (number, stat) in enumerate(stats):
        if isinstance(stat, KeyedStat):
            asked.setdefault(number, []).append((question, stat))
    for number, bucket, part, state in merged(requests, rows):
        if number in asked:
            keep(number, bucket, state)
        else:
            yield number, bucket, part, state
        for question, stat in asked.get(number, []):
            yield -1 - question, bucket, part, answer(stat, state)


def packed(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """Rows as they travel, each a batch of its own: a state may be large."""
    for number, bucket, part, state in rows:
        values = (number, bucket, part, pickle.dumps(state, protocol=5))
        columns = [pa.array([one], kind) for one, kind in zip(values, _ARROW.types, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def table_of(rows: Iterable[Row]) -> pa.Table:
    """The same as a table."""
    return pa.Table.from_batches(packed(rows), schema=_ARROW)


def rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[Row]:
    """The rows of batches, their states read."""
    for batch in batches:
        for row in batch.to_pylist():
            yield row["stat"], row["bucket"], row["part"], pickle.loads(row["state"])


def _states(requests: Sequence[Request], blocks: Iterable[pa.Table | pa.RecordBatch]) -> list[Any]:
    states = [request.stat.zero() for request in requests]
    texts = [[text_of(expr) for expr in request.inputs] for request in requests]
    kinds: dict[type[Stat], list[int]] = {}
    for index, request in enumerate(requests):
        kinds.setdefault(type(request.stat), []).append(index)
    for block in _joined(blocks):
        known: dict[str, pa.Array] = {}  # each distinct expression is evaluated once a block
        for request, names in zip(requests, texts, strict=True):
            for expr, text in zip(request.inputs, names, strict=True):
                if text not in known:
                    known[text] = evaluate(expr, block)
        for kind, members in kinds.items():
            stats = [requests[index].stat for index in members]
            arrays = [[known[text] for text in texts[index]] for index in members]
            updated = kind.update_all(stats, [states[index] for index in members], arrays)
            for index, state in zip(members, updated, strict=True):
                states[index] = state
    return [r.stat.settled(state) for r, state in zip(requests, states, strict=True)]


def _joined(blocks: Iterable[pa.Table | pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join small blocks."""
    waiting: list[pa.Table] = []
    size = 0
    for block in blocks:
        table = block if isinstance(block, pa.Table) else pa.Table.from_batches([block])
        waiting.append(table)
        size += table.nbytes
        if size >= _BLOCK_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)
