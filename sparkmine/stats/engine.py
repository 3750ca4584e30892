"""Answer any set of questions in one scan.

A request is a stat with the expressions that give its columns. What is asked of a column after
fills and affine maps is derived from the column's own state where that is exact (`derive.py`);
equal states are computed once and kept. The tasks of a scan (`task.py`) update every state on
every Arrow block. Keyed states meet in one shuffle of columnar pieces, where their questions are
answered; the other states are merged in a tree. What is small is scanned by the driver itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from sparkmine.errors import RecipeError
from sparkmine.expr import FiledVocabulary, Vocabulary, col
from sparkmine.lake import Snapshot
from sparkmine.lake.input_metrics import InputMetrics
from sparkmine.lake.scan import DirectScanRefused, Scan, shared
from sparkmine.stats import here, spark_job, task
from sparkmine.stats.base import ColumnStat, KeyedStat
from sparkmine.stats.derive import Change, origin
from sparkmine.stats.large import KeyFiles, extended
from sparkmine.stats.memory import Memory
from sparkmine.stats.selected import Selected, first_few
from sparkmine.stats.task import Request, Row
from sparkmine.stats.work import Work

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Keys of one answer that come to the driver; of a larger one, files alone.
DRIVER_KEYS = 1_000_000


@dataclass(frozen=True)
class _Plan:
    """How a request is answered: by the state of `scan`, changed in closed form."""

    scan: Request
    changes: tuple[Change, ...]


def planned(request: Request, texts: Set[str] = frozenset()) -> _Plan:
    """Derive a request from the state of the column itself where that is exact.

    Args:
        texts: Columns of text: what is made of their numbers is not made of themselves.
    """
    stat = request.stat
    found = origin(request.inputs[0]) if isinstance(stat, ColumnStat) else None
    if isinstance(stat, ColumnStat) and found is not None:
        column, changes = found
        itself = column not in texts or request.inputs[0].same(col(column))
        if itself and all(stat.changed(stat.zero(), change) is not None for change in changes):
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
        kinds = {field.name: field.dataType.typeName() for field in source.schema.fields}
        self._texts = {
            name for name, kind in kinds.items() if kind in ("string", "varchar", "char")
        }
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
        scan = planned(request, self._texts).scan
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
        plans = [planned(request, self._texts) for request in requests]
        if any(plan.scan.key not in self._known for plan in plans):
            later = [
                planned(request, self._texts).scan for request in ahead if not self.lacks(request)
            ]
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
        rows = self._collect(
            Work(list(bases.values()), stats, self._buckets, self.memory.folder, self._limit)
        )
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

    def _collect(self, work: Work) -> Iterable[Row]:
        """Scan: in this process, or by a Spark job."""
        if not work.columns:
            raise ValueError("requests without columns")
        scan = self._direct(work.columns)
        if scan is not None:
            blocks, earlier = scan.blocks(), work.earlier(self._before)
            if here.is_small(work, blocks, earlier):
                self._read.add(sum(block.rows for block in blocks))
                return here.scanned(work, scan, shared(blocks, here.threads()), earlier)
            shares = shared(blocks, self._spark.sparkContext.defaultParallelism)
            rows = spark_job.of_files(work, self._spark, scan, shares, earlier, self._read)
            return task.rows_of(rows.toArrow().to_batches())
        source = self._source
        frame = source.dataframe(self._spark) if isinstance(source, Snapshot) else source
        rows = spark_job.of_rows(work, self._spark, frame)
        # A plan of Delta reads the table's log, which is no row of the table.
        rows._jdf.queryExecution().executedPlan()
        with self._read_by_spark.counting():
            return task.rows_of(rows.toArrow().to_batches())

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
