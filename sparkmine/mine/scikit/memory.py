"""What a task needs to train on all rows in its memory, and what it may use: before it starts."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import TooLittleMemoryError
from sparkmine.mine.memory import bytes_of
from sparkmine.sessions import is_local, slots
from sparkmine.stats.sparse import ENTRY_BYTES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A Python worker with scikit-learn, and the batches that it reads.
WORKER_BYTES = 350 << 20
# Of a container that Spark asks a cluster manager for, beside the JVM's heap; its own defaults.
_OVERHEAD = {"yarn": 0.1, "k8s": 0.4}
_LEAST_OVERHEAD = 384 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Need:
    """The matrix of a fit, and how many times its size a task needs.

    Fields:
        entries: of sparse columns, beside `width` numbers a row.
    """

    rows: int
    width: int
    itemsize: int
    factor: float
    entries: int = 0

    @property
    def bytes(self) -> int:
        matrix = self.rows * self.width * self.itemsize + self.entries * ENTRY_BYTES
        return int(matrix * self.factor) + WORKER_BYTES

    def __str__(self) -> str:
        entries = f"and {self.entries:,} entries x {ENTRY_BYTES} bytes " if self.entries else ""
        return (
            f"{_size(self.bytes)} ({self.rows:,} rows x {self.width} numbers x {self.itemsize} "
            f"bytes {entries}x {self.factor:g}, and {_size(WORKER_BYTES)})"
        )


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one task may use, and why."""

    bytes: int
    reason: str


def check(need: Need, share: Share) -> None:
    """Raise TooLittleMemoryError unless a task can have what it needs."""
    _log.info("a task needs about %s and may use %s", need, _size(share.bytes))
    if need.bytes > share.bytes:
        raise TooLittleMemoryError(
            f"training needs about {need} in a task, which may use {_size(share.bytes)}: "
            f"{share.reason}; take fewer columns or rows, precision float32, a larger "
            "spark.task.cpus so that fewer tasks share the memory, or an estimator that Spark ML "
            "trains"
        )


def share_of(spark: SparkSession, tasks: int) -> Share:
    """What each of so many tasks may use, if as many of them run at once as there are slots."""
    here = max(slots(spark), 1)
    if is_local(spark):
        return _of_machines([(socket.gethostname(), _available())], min(here, tasks))
    executors = max(_executors(spark), 1)
    each = min(-(-here // executors), tasks)
    limit = _limit(spark)
    if limit is not None:
        setting, whole = limit
        return Share(
            bytes=whole // each,
            reason=f"{setting} is {_size(whole)} for {each} tasks of an executor at once",
        )
    found = spark.sparkContext.parallelize(range(here), here).mapPartitions(_machine).collect()
    machines = len({host for host, _ in found})
    return _of_machines(found, min(each * -(-executors // machines), tasks))


def _limit(spark: SparkSession) -> tuple[str, int] | None:
    """What bounds the Python workers of an executor, with the setting that says so."""
    conf, master = spark.sparkContext.getConf(), spark.sparkContext.master or ""
    python = conf.get("spark.executor.pyspark.memory")
    if python is not None:
        return "spark.executor.pyspark.memory", bytes_of(python, unit="m")
    for manager, part in _OVERHEAD.items():
        if master.startswith(manager):
            setting = "spark.executor.memoryOverhead"
            given = conf.get(setting)
            if given is not None:
                return setting, bytes_of(given, unit="m")
            heap = bytes_of(conf.get("spark.executor.memory") or "1g", unit="m")
            return setting, max(int(heap * part), _LEAST_OVERHEAD)
    return None  # nothing but the machine


def _of_machines(found: Sequence[tuple[str, int]], tasks: int) -> Share:
    """What is free on the machine with least of it, for so many tasks."""
    host, free = min(found, key=lambda machine: machine[1])
    return Share(
        bytes=free // tasks, reason=f"{_size(free)} are free on {host} for {tasks} tasks at once"
    )


def _executors(spark: SparkSession) -> int:
    """How many there are; the driver's own entry is not one."""
    return len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1


def _machine(_: Iterable[int]) -> Iterator[tuple[str, int]]:
    yield socket.gethostname(), _available()


def _available() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
