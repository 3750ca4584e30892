"""Models that compute in Python: how their workers get rows, and what comes back.

Of a DataFrame only the features go to the workers and only scores come back; the other columns stay
in the JVM. The files of a snapshot are read by the workers themselves, so that wide features,
pictures for example, are never rows of the JVM; what only Spark can read is a DataFrame again.
"""

from __future__ import annotations

import gc
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkmine.lake.inputs import need_columns, session_of
from sparkmine.lake.scan import Block, DirectScanRefused, Scan, by_tasks, shared
from sparkmine.lake.snapshot import Snapshot
from sparkmine.model import Model
from sparkmine.scoring import arrays_of, check_free

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# From the arrays of the features to the scores: one array, or a struct of several columns.
Score = Callable[[list[pa.Array]], pa.Array]

# Uncompressed bytes of the files that are scored at once, and that one task reads, about. Columns
# of few different values take next to none, so rows are counted, too.
_BATCH_BYTES, _BATCH_ROWS, _TASK_BYTES = 1 << 24, 1 << 16, 1 << 27
# Rows of one Arrow batch on the way to the JVM.
_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """What workers need to score rows.

    Attributes:
        features: The columns that it takes.
        columns: The columns that it adds, and their SQL types; of several, scores are structs.
        opened: What a task uses while it scores its rows; it travels to the workers.
    """

    features: Sequence[str]
    columns: Mapping[str, str]
    opened: Callable[[], AbstractContextManager[Score]]


class PythonModel(Model):
    """A model that scores Arrow arrays in Python workers."""

    @abstractmethod
    def scorer(self, spark: SparkSession) -> Scorer:
        """What the workers of `spark` need."""

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with the model's columns added.

        Raises:
            ConfigError: a feature is missing, or an added column is there.
        """
        return _of_rows(df, self.scorer(df.sparkSession))

    def score_by_spark(
        self, data: DataFrame | Snapshot, keep: Sequence[str], spark: SparkSession | None
    ) -> DataFrame:
        if not isinstance(data, Snapshot):
            return super().score_by_spark(data, keep, spark)
        spark = session_of(data, spark)
        scorer = self.scorer(spark)
        need_columns(data, [*keep, *scorer.features])
        check_free(scorer.columns, keep)
        read = tuple(dict.fromkeys([*keep, *scorer.features]))
        try:
            scan = Scan.of(data, read)
        except DirectScanRefused:
            frame = data.dataframe(spark).select(*(f"`{name}`" for name in read))
            return super().score_by_spark(frame, keep, spark)
        return _of_files(spark, scan, keep, scorer)


def spare_imports() -> None:
    """Leave what this worker has imported out of its later garbage collections.

    Spark lets a worker collect everything after each task: that takes 90 ms with scikit-learn's
    modules, as long as a small fit, and 160 ms with TensorFlow's. Once in a process is enough: of
    what lives now, cycles are not freed any more.
    """
    gc.collect()
    gc.freeze()


def _of_rows(df: DataFrame, scorer: Scorer) -> DataFrame:
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import arrow_udf

    need_columns(df, scorer.features)
    check_free(scorer.columns, df.columns)
    opened = scorer.opened

    # Its hints tell Spark what it takes.
    def score(batches: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        scores: Score | None = None
        with ExitStack() as until_the_end:
            for arrays in batches:
                if scores is None:  # a task without rows need not load a model
                    scores = until_the_end.enter_context(opened())
                # Spark gives a single column without a tuple.
                yield scores(list(arrays) if isinstance(arrays, tuple) else [arrays])

    (first, kind), *more = scorer.columns.items()
    if more:
        kind = ", ".join(f"{name} {kind}" for name, kind in scorer.columns.items())
    # pyspark's stubs know no iterators of tuples.
    udf: Any = arrow_udf(score, kind)  # type: ignore[call-overload]
    # To an optimizer that takes it for a plain function, a filter by the score would be a reason
    # to compute it twice.
    found = udf.asNondeterministic()(*(F.col(f"`{name}`") for name in scorer.features))
    scored = df.withColumn(first, found)
    if not more:
        return scored
    kept = (F.col(f"`{name}`") for name in df.columns)
    return scored.select(*kept, *(F.col(f"{first}.{name}") for name in scorer.columns))


def _of_files(spark: SparkSession, scan: Scan, keep: Sequence[str], scorer: Scorer) -> DataFrame:
    from pyspark.sql.pandas.types import to_arrow_schema
    from pyspark.sql.types import StructType

    groups = scan.blocks()
    size = sum(block.bytes for block in groups)
    least = max(spark.sparkContext.defaultParallelism, -(-size // _TASK_BYTES))
    shares = shared(groups, least)
    features, opened = list(scorer.features), scorer.opened
    several = len(scorer.columns) > 1
    kinds = (f"`{name}` {kind}" for name, kind in scorer.columns.items())
    added: Any = StructType.fromDDL(", ".join(kinds))
    kept = [scan.snapshot.schema[name] for name in keep]
    schema = StructType([*kept, *added.fields])
    arrow = to_arrow_schema(schema, timezone="UTC")

    def score(_: int, blocks: Sequence[Block]) -> Iterator[pa.RecordBatch]:
        tables = scan.read_many(blocks, limit=_BATCH_BYTES)
        scores: Score | None = None
        with ExitStack() as until_the_end:
            for table in _cut(tables):
                if scores is None:
                    scores = until_the_end.enter_context(opened())
                found = scores(arrays_of(table, features))
                columns = [*table.select(keep).columns, *(found.flatten() if several else [found])]
                made = pa.table(columns, names=arrow.names).cast(arrow)
                yield from made.to_batches(max_chunksize=_ROWS)

    return by_tasks(spark, shares, score, schema)


def _cut(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows in tables of so many that are scored at once; no empty ones."""
    for table in tables:
        for begin in range(0, table.num_rows, _BATCH_ROWS):
            yield table.slice(begin, _BATCH_ROWS)
