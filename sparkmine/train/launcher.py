"""The driver's side of a fit: one barrier stage with a task per rank.

Why not `horovod.spark.run`: it starts its own driver and task services, which find each other by
pickled messages, take 3.1 s to start (docs/benchmarks.md), and notice no hang. A barrier stage
starts all tasks at once or not at all, gives each its GPU, and ends all when one fails. Spark
never repeats it: it is a result stage.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparkmine.errors import (
    ConfigError,
    DataError,
    ExecutorsDifferError,
    GpuMissingError,
    PathNotSharedError,
    RankFailedError,
    RankUnreachableError,
    SparkmineError,
    TableDamagedError,
)
from sparkmine.train import preflight, probe
from sparkmine.train.channel import Event, Listener
from sparkmine.train.task import FAILED, SCHEMA, Launch, rank_task

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

log = logging.getLogger(__name__)

# After the first sign of trouble, how long the other ranks may name a better reason.
_GRACE_SECONDS = 5.0
# Spark gives its Python workers 2 s to end and looks every 2 s; then they are killed.
_END_SECONDS = 20.0
_QUOTED_LINES = 8
# What a rank or its task says in words of its own; all else is RANK_FAILED.
_CODED: dict[str, type[SparkmineError]] = {
    kind.code: kind
    for kind in (
        ConfigError,
        DataError,
        ExecutorsDifferError,
        GpuMissingError,
        PathNotSharedError,
        RankUnreachableError,
        TableDamagedError,
    )
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a rank may take to start, give no sign of life, and make no progress."""

    start_seconds: float = 300.0
    silence_seconds: float = 30.0
    stall_seconds: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Placing:
    """What is asked of the executors for the ranks."""

    ranks: int
    gpus_per_rank: int
    threads: int
    checkpoint: str | None
    network_interface: str | None

    def expected(self, mark: str | None, data: tuple[str, ...]) -> probe.Expected:
        """Return what every task must find."""
        return probe.Expected(
            versions=probe.installed(),
            gpus=self.gpus_per_rank,
            interface=self.network_interface,
            mark=mark,
            data=data,
        )


@dataclass
class _Stage:
    """What the thread that runs the Spark job leaves."""

    rows: list[Row] = field(default_factory=list)
    error: Exception | None = None


def check_executors(spark: SparkSession, placing: Placing, data: tuple[str, ...]) -> None:
    """Look at the executors before any data is read or written; see `probe`.

    Args:
        data: Data files that they must see.

    Raises:
        ExecutorsDifferError, GpuMissingError, PathNotSharedError, ConfigError: all tasks that have
            found it are named.
        RankFailedError: the tasks could not look.
    """
    with probe.marked(placing.checkpoint) as mark:
        look = probe.looking(placing.expected(mark, data))
        tasks = spark.sparkContext.parallelize(range(placing.ranks), placing.ranks)
        profile = preflight.gpu_profile(placing.threads, placing.gpus_per_rank)
        if profile is not None:
            tasks = tasks.withResources(profile)
        try:
            looked = tasks.barrier().mapPartitions(look).collect()
        except Exception as error:
            raise _unheard(str(error), placing.ranks) from None
    found = probe.summary(looked)
    if found is not None:
        raise _CODED[found[0]](found[1])


def launch(
    spark: SparkSession,
    job: bytes,
    placing: Placing,
    *,
    data: tuple[str, ...],
    limits: Limits,
    on_event: Callable[[Event], None],
) -> dict[int, dict[str, bytes]]:
    """Run `job` on the ranks and return the files that each rank left, by rank and name.

    `on_event` is called in this thread.

    Raises:
        RankFailedError: a rank raised, died or fell silent; all ranks have ended.
        DataError, ConfigError, TableDamagedError: a rank found the reason in the data or the
            configuration.
        ExecutorsDifferError, GpuMissingError, PathNotSharedError, RankUnreachableError: found on
            the executors before any rank started.
    """
    host = spark.conf.get("spark.driver.host") or "127.0.0.1"
    bind = spark.conf.get("spark.driver.bindAddress", host) or host
    with Listener(bind) as listener, probe.marked(placing.checkpoint) as mark:
        told = Launch(
            job=job,
            driver_host=host,
            driver_port=listener.port,
            token=listener.token,
            threads=placing.threads,
            expected=placing.expected(mark, data),
            start_seconds=limits.start_seconds,
            silence_seconds=limits.silence_seconds,
            stall_seconds=limits.stall_seconds,
            environment={},
        )
        stage = _run(spark, told, placing, listener, on_event)
    files: dict[int, dict[str, bytes]] = {}
    for row in sorted(stage.rows, key=lambda row: (row["rank"], row["name"], row["part"])):
        of_rank = files.setdefault(row["rank"], {})
        of_rank[row["name"]] = of_rank.get(row["name"], b"") + bytes(row["data"])
    return files


def _run(
    spark: SparkSession,
    told: Launch,
    placing: Placing,
    listener: Listener,
    on_event: Callable[[Event], None],
) -> _Stage:
    from pyspark import InheritableThread

    tag = f"sparkmine-fit-{secrets.token_hex(8)}"
    stage = _Stage()

    def collect() -> None:
        spark.sparkContext.addJobTag(tag)
        try:
            stage.rows = _stage_frame(spark, told, placing).collect()
        except Exception as error:
            stage.error = error
        finally:
            spark.sparkContext.removeJobTag(tag)

    # In a thread of its own, so that this one reports progress and can be interrupted.
    thread = InheritableThread(target=collect, name="sparkmine-fit", daemon=True)
    thread.start()
    failures: list[Event] = []
    heard: dict[int, Event] = {}  # host and last output of every rank
    failed_at = 0.0

    def take(event: Event) -> None:
        nonlocal failed_at
        of_rank = heard.setdefault(event["rank"], {})
        of_rank.update({key: event[key] for key in ("host", "lines") if key in event})
        if event.get("event") in {"failed", "gone"}:
            failures.append({**of_rank, **event, "at": time.monotonic()})
            # A lost connection alone is for Spark to judge: training may well go on.
            if event.get("event") == "failed":
                failed_at = failed_at or time.monotonic()

    try:
        while True:
            with contextlib.suppress(queue.Empty):
                event = listener.events.get(timeout=0.2)
                take(event)
                if event.get("event") not in {"output", "failed", "gone", "done"}:
                    on_event(event)
                continue
            if not thread.is_alive():
                break
            if failed_at and time.monotonic() - failed_at > _GRACE_SECONDS:
                break
    finally:
        if thread.is_alive():
            spark.sparkContext.cancelJobsWithTag(tag)
        thread.join(timeout=_END_SECONDS)
        if not listener.wait_closed(_END_SECONDS):
            log.error("some ranks still have not ended; see their executors")
    while not listener.events.empty():
        take(listener.events.get())
    if stage.error is not None or failed_at:
        raise _error(failures, stage.error, placing.ranks)
    return stage


def _stage_frame(spark: SparkSession, told: Launch, placing: Placing) -> Any:
    """Return the frame whose single, barrier stage runs the ranks."""
    profile = preflight.gpu_profile(placing.threads, placing.gpus_per_rank)
    frame = spark.range(0, placing.ranks, 1, placing.ranks)
    return frame.mapInArrow(rank_task(told), SCHEMA, barrier=True, profile=profile)


def _error(failures: list[Event], error: Exception | None, ranks: int) -> SparkmineError:
    """Choose the failure that explains the others, and put it into words."""
    told = _told_by_spark(error)
    candidates = [*failures, *([told] if told is not None else [])]
    if not candidates:
        return _unheard(str(error), ranks)

    def order(event: Event) -> tuple[int, float]:
        # Spoken causes first, then lost connections, then ranks that fell with another one.
        weight = 2 if event.get("collateral") else int(event.get("event") == "gone")
        return weight, float(event.get("at", 0.0))

    cause = min(candidates, key=order)
    known = _CODED.get(cause.get("code") or "")
    if known is not None:
        return known(str(cause.get("message")))
    where = f"rank {cause.get('rank')} of {ranks} on {cause.get('host', 'an unknown host')}"
    reason = cause.get("reason")
    if cause.get("event") == "gone":
        reason = (
            "vanished with its Spark task: the executor or its Python worker was killed; see the "
            "executor's log"
        )
    lines = [line for line in cause.get("lines") or [] if line.strip()][-_QUOTED_LINES:]
    quoted = f"; last output: {' | '.join(lines)}" if lines else "; it wrote no output"
    return RankFailedError(f"{where}: {reason}; all ranks were ended{quoted}")


def _unheard(text: str, ranks: int) -> SparkmineError:
    """Put into words what Spark says of tasks that ended before our code ran in them."""
    python = re.compile(r"(?!org\.|java\.)([\w.]*\.)?[A-Z]\w*(Error|Exception): ")
    said = [line for line in text.splitlines() if python.match(line)]
    reason = said[-1] if said else text.strip().partition("\n")[0]
    if "PYTHON_VERSION_MISMATCH" in reason or "No module named" in reason:
        return ExecutorsDifferError(
            f"the executors' Python cannot run the ranks: {reason}; "
            "give all machines the same environment (requirements.lock)"
        )
    return RankFailedError(
        f"the barrier stage of {ranks} ranks failed before any rank reported: {reason}"
    )


def _told_by_spark(error: Exception | None) -> Event | None:
    """Find a rank's failure in Spark's error, for where the driver's port is closed to ranks."""
    found = re.search(rf"{FAILED} (\{{.*\}})", str(error)) if error is not None else None
    if found is None:
        return None
    try:
        # Spark's text goes on after the object, and may hold it twice.
        event, _ = json.JSONDecoder().raw_decode(found[1])
    except ValueError:
        return None
    return {**event, "at": time.monotonic()} if isinstance(event, dict) else None
