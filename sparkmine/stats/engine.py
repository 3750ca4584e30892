"""Answer any set of questions in one scan.

A request is a stat with the expressions that give its columns. Requests with equal stats and
expressions are computed once. Each task reads its share of the table, updates every state on
every Arrow batch, and emits one row for a small state and one for each key of a keyed one; the
driver merges the small states, one shuffle sums the keys.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkmine.expr import Expr, evaluate, to_column
from sparkmine.lake import Snapshot
from sparkmine.lake.scan import Block, DirectScanRefused, Scan
from sparkmine.stats.base import Stat
from sparkmine.stats.counts import KeyedCounts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SCHEMA = "stat int, key string, count long, state binary"
_ARROW = pa.schema(
    [("stat", pa.int32()), ("key", pa.string()), ("count", pa.int64()), ("state", pa.binary())]
)


_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Request:
    """A stat and, for each of its columns, the expression over the table that gives it."""

    stat: Stat
    inputs: tuple[Expr, ...]

    @property
    def key(self) -> tuple[Stat, str]:
        return self.stat, " ".join(_text(expr) for expr in self.inputs)


class StatEngine:
    """Scans one source, a snapshot or a DataFrame, as often as it is asked.

    Attributes:
        scans: Scans of the source so far.
    """

    def __init__(self, source: Snapshot | DataFrame, spark: SparkSession) -> None:
        self._source = source
        self._spark = spark
        self._persisted: list[DataFrame] = []
        self.scans = 0

    def run(self, requests: Sequence[Request]) -> list[Any]:
        """The answers, in the order of the requests: one scan, more only to refine quantiles."""
        answers: dict[Any, Any] = {}
        current = {request.key: request for request in requests}
        while current:
            following = {}
            for (key, request), answer in zip(
                current.items(), self._scan(list(current.values())), strict=True
            ):
                finer = request.stat.refined(answer)
                if finer is not None:
                    following[key] = Request(finer, request.inputs)
                answers[key] = answer
            current = following
        return [answers[request.key] for request in requests]

    def close(self) -> None:
        """Free what the answers of keyed stats hold; they cannot be asked any more."""
        for frame in self._persisted:
            frame.unpersist()
        self._persisted.clear()

    def _scan(self, requests: list[Request]) -> list[Any]:
        from pyspark.sql import functions as F

        self.scans += 1
        emitted = self._emit(requests)
        keyed = any(request.stat.keyed for request in requests)
        if keyed:
            emitted = emitted.persist()
            self._persisted.append(emitted)
        states: dict[int, Any] = {}
        # In the order of the tasks, so that floating-point sums are the same in every run.
        for row in emitted.where("state is not null").collect():
            stat, found = requests[row["stat"]].stat, pickle.loads(row["state"])
            states[row["stat"]] = (
                stat.merge(states[row["stat"]], found) if row["stat"] in states else found
            )
        answers: list[Any] = []
        for index, request in enumerate(requests):
            stat = request.stat
            if stat.keyed:
                rows = emitted.where((F.col("stat") == index) & F.col("key").isNotNull())
                answers.append(KeyedCounts(rows.groupBy("key").agg(F.sum("count").alias("count"))))
            else:
                answers.append(stat.answer(states.get(index, stat.zero())))
        return answers

    def _emit(self, requests: list[Request]) -> DataFrame:
        needed = sorted({name for r in requests for expr in r.inputs for name in expr.columns})
        if isinstance(self._source, Snapshot):
            try:
                return self._direct(Scan.of(self._source, needed), requests)
            except DirectScanRefused:
                frame = self._source.dataframe(self._spark)
        else:
            frame = self._source
        if not needed:
            raise ValueError("requests without columns")
        from sparkmine.expr import col

        selected = frame.select(*(to_column(col(name)).alias(name) for name in needed))

        def update(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from _states(requests, batches)

        return selected.mapInArrow(update, _SCHEMA)

    def _direct(self, scan: Scan, requests: list[Request]) -> DataFrame:
        shares = _shares(scan.blocks(), self._spark.sparkContext.defaultParallelism)

        def update(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for index in batch.column(0).to_pylist():
                    yield from _states(requests, scan.read_many(shares[index]))

        tasks = max(len(shares), 1)
        return self._spark.range(0, len(shares), 1, tasks).mapInArrow(update, _SCHEMA)


def _shares(blocks: list[Block], tasks: int) -> list[list[Block]]:
    """Split blocks into contiguous shares of about equal rows, a few for each task slot."""
    total = sum(block.rows for block in blocks)
    wanted = max(total / max(tasks, 1), 1)
    shares: list[list[Block]] = []
    filled = wanted
    for block in blocks:
        if filled >= wanted:
            shares.append([])
            filled = 0
        shares[-1].append(block)
        filled += block.rows
    return shares


def _states(
    requests: list[Request], blocks: Iterable[pa.Table | pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Update all states over the blocks of one task and emit them."""
    states = [request.stat.zero() for request in requests]
    texts = [[_text(expr) for expr in request.inputs] for request in requests]
    for block in _joined(blocks):
        known: dict[str, pa.Array] = {}  # each distinct expression is evaluated once a block
        for index, request in enumerate(requests):
            arrays = []
            for expr, text in zip(request.inputs, texts[index], strict=True):
                if text not in known:
                    known[text] = evaluate(expr, block)
                arrays.append(known[text])
            states[index] = request.stat.update(states[index], arrays)
    rows: list[tuple[int, str | None, int | None, bytes | None]] = []
    for index, (request, state) in enumerate(zip(requests, states, strict=True)):
        if request.stat.keyed:
            rows.extend((index, key, count, None) for key, count in sorted(state.items()))
        else:
            # Our own bytes, between our own processes of one job, as Spark itself ships closures.
            rows.append((index, None, None, pickle.dumps(state, protocol=5)))
    if rows:
        columns = [
            pa.array(values, kind)
            for values, kind in zip(zip(*rows, strict=True), _ARROW.types, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=_ARROW)


def _joined(blocks: Iterable[pa.Table | pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join small blocks: an update costs the same Python for ten rows as for ten thousand."""
    waiting: list[pa.Table] = []
    rows = 0
    for block in blocks:
        table = block if isinstance(block, pa.Table) else pa.Table.from_batches([block])
        waiting.append(table)
        rows += table.num_rows
        if rows >= _BLOCK_ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _text(expr: Expr) -> str:
    return json.dumps(expr.to_json(), sort_keys=True)
