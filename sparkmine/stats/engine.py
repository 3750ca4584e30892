"""Answer any set of questions in one scan.

A request is a stat with the expressions that give its columns. What is asked of a column after
fills and affine maps is derived from the column's own state where that is exact (`derive.py`);
equal states are computed once and kept. The tasks of a scan (`task.py`) update every state on
every Arrow block. Keyed states meet in one shuffle of columnar pieces, where their questions are
answered; the other states are merged in a tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkmine.errors import RecipeError
from sparkmine.expr import FiledVocabulary, Vocabulary, col, to_column
from sparkmine.lake import Snapshot
from sparkmine.lake.input_metrics import InputMetrics
from sparkmine.lake.scan import Block, DirectScanRefused, Scan
from sparkmine.stats import task
from sparkmine.stats.base import ColumnStat, KeyedStat, Stat
from sparkmine.stats.derive import Change, origin
from sparkmine.stats.large import KeyFiles, extended
from sparkmine.stats.memory import Memory, bucket_of, write_counts
from sparkmine.stats.selected import Selected, first_few, sent
from sparkmine.stats.task import Request

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# States of one stat that one process merges; above it there is one more level of the tree.
FAN_IN = 16
# Keys of one answer that come to the driver; of a larger one, files alone.
DRIVER_KEYS = 1_000_000


@dataclass(frozen=True)
class _Plan:
    """How a request is answered: by the state of `scan`, changed in closed form."""

    scan: Request
    changes: tuple[Change, ...]


def planned(request: Request) -> _Plan:
    """Derive a request from the state of the column itself where that is exact."""
    stat = request.stat
    found = origin(request.inputs[0]) if isinstance(stat, ColumnStat) else None
    if isinstance(stat, ColumnStat) and found is not None:
        column, changes = found
        if all(stat.changed(stat.zero(), change) is not None for change in changes):
            return _Plan(Request(replace(stat, column=column), (col(column),)), changes)
    return _Plan(request, ())


class StatEngine:
    """Scans one source, a snapshot or a DataFrame, as often as it is asked.

    Args:
        source: What is scanned.
        before: What was learned from other rows: every state becomes that of both.
        whole: With `before`, the source and those other rows together: what must be split more
            finely than it was is scanned there.

    Attributes:
        memory: Takes what the scans learn.
        scans: Scans of the source so far.
    """

    def __init__(
        self,
        source: Snapshot | DataFrame,
        spark: SparkSession,
        *,
        memory: Memory | None = None,
        before: Memory | None = None,
        whole: Snapshot | None = None,
    ) -> None:
        self._source = source
        self._spark = spark
        self.memory = Memory() if memory is None else memory
        self._before = before
        self._whole = whole
        self._limit = DRIVER_KEYS
        self._known: dict[Any, Any] = {}
        self._read = spark.sparkContext.accumulator(0)
        self._read_by_spark = InputMetrics(spark)
        # Of the earlier counts, so that their files are read by the reducers of their keys.
        self._buckets = (before.buckets if before is not None else None) or int(
            spark.conf.get("spark.sql.shuffle.partitions") or 200
        )
        self.scans = 0

    @property
    def rows_read(self) -> int:
        """Rows that the tasks have read, before any predicate.

        Straight from files they are counted by the tasks, otherwise by Spark's readers, which
        leave out row groups without a match and whatever is no table (see `InputMetrics`).
        """
        return int(self._read.value) + self._read_by_spark.rows

    def lacks(self, request: Request) -> bool:
        """True if there is a `before` and this was not learned then."""
        scan = planned(request).scan
        if self._before is None or scan.key in self._known:
            return False
        if scan.stat.keyed:
            return not self._before.counted(scan.base.key)
        return scan.key not in self._before.states

    def run(self, requests: Sequence[Request], ahead: Sequence[Request] = ()) -> list[Any]:
        """The answers, in the order of the requests; no scan for what is known already.

        Args:
            ahead: What will be asked later; it shares the scan if there is one.
        """
        plans = [planned(request) for request in requests]
        if any(plan.scan.key not in self._known for plan in plans):
            later = [planned(request).scan for request in ahead if not self.lacks(request)]
            self._learn([plan.scan for plan in plans] + later)
        return [self._answer(plan) for plan in plans]

    def _answer(self, plan: _Plan) -> Any:
        state, stat = self._known[plan.scan.key], plan.scan.stat
        if isinstance(stat, ColumnStat):
            for change in plan.changes:
                state = stat.changed(state, change)
        return stat.answer(state)

    def _learn(self, requests: Sequence[Request]) -> None:
        """Scan for the states that are not known, and again for those that must be refined."""
        pending = {r.key: r for r in requests if r.key not in self._known}
        while pending:
            states = self._both(list(pending.values()))
            finer = {}
            for (key, request), state in zip(pending.items(), states, strict=True):
                self._known[key] = state
                if not request.stat.keyed:
                    self.memory.states[request.key] = state
                stat = request.stat.refined(state)
                if stat is not None:
                    finer[key] = replace(request, stat=stat)
            pending = finer

    def _both(self, requests: list[Request]) -> list[Any]:
        """The states of the source and of what was there before."""
        if self._before is None:
            return self._scan(requests)
        known = self._before.states
        anew = [r for r in requests if not r.stat.keyed and r.key not in known]
        found = dict(zip([r.key for r in anew], self._anew(anew), strict=True))
        rest = [r for r in requests if r.key not in found]
        for request, state in zip(rest, self._scan(rest) if rest else [], strict=True):
            old = known.get(request.key)
            keyed = request.stat.keyed  # its old counts were in the shuffle
            found[request.key] = state if keyed else request.stat.merge(old, state)
        return [found[request.key] for request in requests]

    def _anew(self, requests: list[Request]) -> list[Any]:
        if not requests:
            return []
        assert self._whole is not None
        engine = StatEngine(self._whole, self._spark)
        engine._read, engine._read_by_spark = self._read, self._read_by_spark
        self.scans += 1
        return engine._scan(requests)

    def _scan(self, requests: list[Request]) -> list[Any]:
        """One scan: the states of the requests, or what their questions select of keyed ones."""
        self.scans += 1
        bases = {request.base.key: request.base for request in requests}
        numbers = {key: number for number, key in enumerate(bases)}
        stats = [(numbers[request.base.key], request.stat) for request in requests]
        rows = task.rows_of(self._collect(list(bases.values()), stats).to_batches())
        states: dict[int, list[tuple[int, Any]]] = {}
        answers: dict[int, list[tuple[int, Any]]] = {}
        for number, bucket, part, state in rows:
            if number >= 0:
                states.setdefault(number, []).append((part, state))
            else:
                answers.setdefault(-1 - number, []).append((bucket, state))
        found = []
        for question, (number, stat) in enumerate(stats):
            if isinstance(stat, KeyedStat):
                parts = sorted(answers.get(question, []), key=lambda item: item[0])
                found.append(self._joined(requests[question], [part for _, part in parts]))
            else:
                parts = states.get(number, [])
                found.append(task.merge_parts(stat, parts) if parts else stat.zero())
        return found

    def _joined(self, request: Request, parts: list[Selected]) -> Selected:
        """An answer that the driver holds, or whose keys stay in the files of counts."""
        stat = request.stat
        assert isinstance(stat, KeyedStat)
        selected = stat.join(parts)
        if len(selected.keys) == selected.size <= self._limit:
            return selected
        if self.memory.folder is None:
            raise RecipeError(
                f"column {stat.columns[0]!r} has {selected.size:,} categories, more than the "
                f"{self._limit:,} that the driver holds: give scratch=, a folder that all "
                "executors see, or top_k= or min_count="
            )
        written = list(self.memory.files(request.base.key))
        if len(written) != len(parts):
            raise RecipeError(
                f"executors wrote {len(parts)} files of counts to {self.memory.folder}, the driver "
                f"sees {len(written)}: scratch= must be a folder that all of them share"
            )
        files = [file for file in written if pq.read_metadata(file).num_rows]
        return replace(
            first_few(selected),
            files=KeyFiles(self._spark, stat, files, self.memory.vocabularies),
        )

    def extended(self, before: Vocabulary, after: Vocabulary, start: int) -> Vocabulary:
        """`before.extended(after, start)`, by executors where one of them is files."""
        if not any(isinstance(table, FiledVocabulary) for table in (before, after)):
            return before.extended(after, start)
        if self.memory.folder is None:
            raise RecipeError(
                f"an index of {len(before):,} categories is extended by executors: give scratch=, "
                "a folder that all of them see"
            )
        return extended(self._spark, before, after, start, self.memory.vocabularies)

    def _collect(self, bases: list[Request], stats: list[tuple[int, Stat]]) -> pa.Table:
        """Run the job of a scan."""
        needed = sorted({name for r in bases for expr in r.inputs for name in expr.columns})
        if not needed:
            raise ValueError("requests without columns")
        scan = self._direct(needed)
        if scan is not None:
            return self._met(*self._emit_blocks(scan, bases), bases, stats).toArrow()
        rows = self._met(*self._emit_rows(needed, bases), bases, stats)
        # A plan of Delta reads the table's log, which is no row of the table.
        rows._jdf.queryExecution().executedPlan()
        with self._read_by_spark.counting():
            return rows.toArrow()

    def _met(
        self, rows: DataFrame, tasks: int, bases: list[Request], stats: list[tuple[int, Stat]]
    ) -> DataFrame:
        """States that few enough are left of for the driver, and the answers of keyed ones."""
        keyed = any(stat.keyed for _, stat in stats)
        buckets = self._buckets
        merging = _merging(bases)
        if keyed and self._before is not None:
            rows = rows.union(self._earlier(bases, self._before))
        if keyed or tasks > FAN_IN:
            selecting = _selecting(stats, bases, self.memory.folder, self._limit, buckets)
            reducing = selecting if keyed else merging
            # By the number itself: hashed, two of few buckets are often one task's.
            rows = rows.repartitionById(buckets, "bucket").mapInArrow(reducing, task.SCHEMA)
            tasks = -(-tasks // FAN_IN)
        while tasks > FAN_IN:
            above = f"CAST(bucket DIV {FAN_IN} AS INT) AS bucket"
            rows = rows.selectExpr("stat", above, "part", "state")
            rows = rows.repartitionById(buckets, "bucket").mapInArrow(merging, task.SCHEMA)
            tasks = -(-tasks // FAN_IN)
        return rows

    def _earlier(self, bases: list[Request], before: Memory) -> DataFrame:
        """The counts of an earlier fit, as if a task had counted them."""
        # Not a range: its rows would be in the metrics of what was read.
        return self._spark.createDataFrame(
            task.earlier(
                (number, bucket_of(file), file)
                for number, request in enumerate(bases)
                if request.stat.keyed
                for file in before.files(request.key)
            )
        )

    def _direct(self, needed: list[str]) -> Scan | None:
        """How the files are read without Spark's readers, if they can be."""
        if not isinstance(self._source, Snapshot):
            return None
        try:
            return Scan.of(self._source, needed)
        except DirectScanRefused as refused:
            if self._before is not None:  # Delta's reader knows versions, no parts of them
                raise RecipeError(
                    f"what was appended to {self._source.path} cannot be read by itself, as "
                    f"{refused.reason}; fit the recipe again"
                ) from None
            return None

    def _emit_blocks(self, scan: Scan, requests: list[Request]) -> tuple[DataFrame, int]:
        """The states of every task that reads files itself, and how many tasks there are."""
        shares = _shares(scan.blocks(), self._spark.sparkContext.defaultParallelism)
        scanning, read = _scanning(requests, self._buckets), self._read

        def update(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for index in batch.column(0).to_pylist():
                    yield from scanning(scan.read_many(shares[index], read), index)

        tasks = max(len(shares), 1)
        numbers = self._spark.range(0, len(shares), 1, tasks)
        return numbers.mapInArrow(update, task.SCHEMA), tasks

    def _emit_rows(self, needed: list[str], requests: list[Request]) -> tuple[DataFrame, int]:
        """The states of every task that is given the rows by Spark."""
        source = self._source
        frame = source.dataframe(self._spark) if isinstance(source, Snapshot) else source
        scanning = _scanning(requests, self._buckets)

        def update(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            from pyspark import TaskContext

            context = TaskContext.get()
            yield from scanning(batches, context.partitionId() if context else 0)

        # Few tasks of many partitions: each leaves one state of every stat.
        tasks = 2 * self._spark.sparkContext.defaultParallelism
        columns = [to_column(col(name)).alias(name) for name in needed]
        return frame.select(*columns).coalesce(tasks).mapInArrow(update, task.SCHEMA), tasks


def _scanning(requests: list[Request], buckets: int) -> Any:
    def states(blocks: Iterable[Any], part: int) -> Iterator[pa.RecordBatch]:
        yield from task.scanned(requests, blocks, part=part, buckets=buckets, group=part // FAN_IN)

    return states


def _merging(requests: list[Request]) -> Any:
    def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from task.merged(requests, batches)

    return merge


def _selecting(
    questions: list[tuple[int, Stat]],
    requests: list[Request],
    folder: Path | None,
    limit: int,
    reducers: int,
) -> Any:
    def keep(number: int, bucket: int, state: Any) -> None:
        request = requests[number]
        if folder is not None and isinstance(request.stat, KeyedStat):
            write_counts(folder, request.key, bucket, reducers, request.stat.table(state))

    def answer(stat: KeyedStat, state: Any) -> Selected:
        return sent(stat.select(state), stat.top_k, limit, reducers)

    def select(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from task.selected(requests, questions, batches, keep, answer)

    return select


def _shares(blocks: list[Block], tasks: int) -> list[list[Block]]:
    """Split blocks into contiguous shares of about equal rows, one for each task slot."""
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
