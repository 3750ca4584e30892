"""Many fits as one Spark job: a task for each, which reads the rows by itself.

A Python worker keeps the rows that it has read until another job needs it, so that of 250 fits on
two cores each core reads once, and what is imported for the first fit is not looked through after
each one (`spare_imports`). Nothing but what was asked for comes back to the driver.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError, SparkmineError, raised_by_workers
from sparkmine.mine.scikit import memory
from sparkmine.mine.scikit.building import build, ready
from sparkmine.mine.scikit.rows import Reading, Rows
from sparkmine.python_model import spare_imports
from sparkmine.sessions import task_cores
from sparkmine.stats.sparse import is_sparse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.mine.scikit.estimator import ScikitLearn

_SCHEMA = "number long, facts string, state binary"
# The rows of the job that this process works for.
_held: dict[str, Rows] = {}


class Work(Protocol):
    """What one task does with the rows: facts as JSON, and a state."""

    def __call__(self, rows: Rows, threads: int) -> tuple[str, bytes]: ...


def run(
    reading: Reading, works: Sequence[Work], spark: SparkSession, factor: float
) -> list[tuple[str, bytes]]:
    """What each of the works gave, in their order.

    Args:
        factor: How many times the matrix a task needs in memory.

    Raises:
        TooLittleMemoryError: the rows do not fit.
        SparkmineError: what a work raised.
    """
    reading = _fitting(reading, len(works), spark, factor)
    task = _task(uuid4().hex, reading, tuple(works), task_cores(spark))
    numbers = spark.range(0, len(works), 1, len(works))
    with raised_by_workers():
        found = numbers.mapInArrow(task, _SCHEMA).toArrow()
    rows = sorted(found.to_pylist(), key=lambda row: row["number"])
    return [(row["facts"], row["state"]) for row in rows]


def trained(estimator: ScikitLearn, rows: Rows, part: int | None, seed: int, threads: int) -> Any:
    """The estimator, fitted on a part of the rows by so many threads.

    Raises:
        ConfigError: it does not take its parameters.
        DataError: it raised anything else.
    """
    from sklearn.utils._param_validation import InvalidParameterError
    from threadpoolctl import threadpool_limits

    made = ready(build(estimator.estimator, estimator.parameters), seed, threads)
    matrix, labels = rows.part(part)
    if not len(labels):
        raise DataError("there are no rows to fit on")
    try:
        with threadpool_limits(limits=threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # once a candidate and fold is too often
            return made.fit(matrix, labels)
    except SparkmineError:
        raise
    except InvalidParameterError as error:
        raise ConfigError(f"{estimator.estimator}: {error}") from None
    except Exception as error:  # whatever a library's fit raises
        raise DataError(
            f"{estimator.estimator} could not be fitted on {len(labels)} rows: "
            f"{type(error).__name__}: {error}"
        ) from None


def _task(
    key: str, reading: Reading, works: tuple[Work, ...], threads: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                first = not _held
                facts, state = works[number](_rows(key, reading), threads)
                if first:
                    spare_imports()
                columns = [
                    pa.array([number], pa.int64()),
                    pa.array([facts]),
                    pa.array([state], pa.binary()),
                ]
                yield pa.record_batch(columns, names=["number", "facts", "state"])

    return work


def _rows(key: str, reading: Reading) -> Rows:
    """The rows of the job, read at most once by this process."""
    if key not in _held:
        _held.clear()
        _held[key] = reading.read()
    return _held[key]


def _dense(reading: Reading) -> int:
    """Numbers a row of the columns that are not sparse."""
    kinds = reading.scan.schema
    widths = zip(reading.features, reading.widths, strict=True)
    return sum(width for name, width in widths if not is_sparse(kinds.field(name).type))


def _fitting(reading: Reading, tasks: int, spark: SparkSession, factor: float) -> Reading:
    """The reading, if its rows fit a task; they are counted if those before the predicate do not.

    Raises:
        TooLittleMemoryError: they do not fit.
    """
    share = memory.share_of(spark, tasks)

    def need() -> memory.Need:
        return memory.Need(
            rows=reading.most,
            width=sum(reading.widths) if reading.entries is None else _dense(reading),
            itemsize=np.dtype(reading.precision).itemsize,
            factor=factor,
            entries=reading.entries or 0,
        )

    if need().bytes > share.bytes and not all(block.exact for block in reading.blocks):
        count = sum(reading.scan.count(block) for block in reading.blocks)
        reading = replace(reading, most=count)
    memory.check(need(), share)
    return reading
