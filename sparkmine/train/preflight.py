"""What can be known to fail is refused before anything starts, in seconds.

Spark itself would wait up to ten minutes for slots that never come. What only the executors can
know, `probe` finds: before any data is read, and again when the ranks start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sparkmine.errors import (
    ConfigError,
    DataError,
    DynamicAllocationError,
    GpuMissingError,
    TooFewSlotsError,
)
from sparkmine.lake.scan import Block, Scan
from sparkmine.sessions import is_local, slots
from sparkmine.train.layout import Feature, Layout, is_list
from sparkmine.train.source import Source, of_blocks

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import SparkSession

# Executors of a fresh application register one by one. Spark's own setting for how long to wait
# for them counts where it is set; this is for where it is not.
_REGISTERING = "spark.scheduler.maxRegisteredResourcesWaitingTime"
_REGISTERING_MS = 8_000


def check_cluster(
    spark: SparkSession, *, ranks: int, gpus_per_rank: int = 0, wait_seconds: float = 0.0
) -> None:
    """Check that `ranks` barrier tasks can run at once.

    Args:
        wait_seconds: How long executors may take to come, if not as long as a new application's.

    Raises:
        ConfigError: fewer than one rank.
        DynamicAllocationError: executors may come and go.
        GpuMissingError: executors have fewer GPUs than a rank.
        TooFewSlotsError: fewer slots than ranks.
    """
    if ranks < 1:
        raise ConfigError(f"ranks={ranks}: at least 1")
    context = spark.sparkContext
    local = is_local(spark)
    dynamic = (context.getConf().get("spark.dynamicAllocation.enabled") or "false").lower()
    if dynamic == "true" and not local:
        raise DynamicAllocationError(
            "training is a barrier stage, which Spark refuses with dynamic allocation; set "
            "spark.dynamicAllocation.enabled=false, or only for training, by a submit of its own: "
            "spark-submit --conf spark.dynamicAllocation.enabled=false ... jobs/train.py"
        )
    if local and gpus_per_rank:
        raise ConfigError(
            "gpus_per_rank needs a cluster: Spark has no task resources in local mode"
        )
    profile = None
    if gpus_per_rank:
        given = int(context.getConf().get("spark.executor.resource.gpu.amount") or 0)
        if given < gpus_per_rank:
            raise GpuMissingError(
                f"gpus_per_rank={gpus_per_rank}, but executors have {given}: set "
                f"spark.executor.resource.gpu.amount={gpus_per_rank} or more, and "
                "spark.worker.resource.gpu.* on the workers"
            )
        profile = gpu_profile(int(context.getConf().get("spark.task.cpus") or 1), gpus_per_rank)
    registering = (_registering_ms(spark) - _age_ms(spark)) / 1000
    deadline = time.monotonic() + max(registering, wait_seconds)
    while (slots := count_slots(spark, profile)) < ranks:
        if local or time.monotonic() > deadline:
            raise TooFewSlotsError(_advice(spark, ranks, slots))
        time.sleep(0.2)


def gpu_profile(cpus: int, gpus: int) -> ResourceProfile | None:
    """Return what a task asks Spark for; None without GPUs, which local mode has not."""
    if not gpus:
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    requests = TaskResourceRequests().cpus(cpus).resource("gpu", gpus)
    return ResourceProfileBuilder().require(requests).build


def count_slots(spark: SparkSession, profile: ResourceProfile | None = None) -> int:
    """Return how many tasks can run at once now, as Spark's own barrier check counts them."""
    if profile is None:
        return slots(spark)
    scala_context = spark.sparkContext._jsc.sc()
    wanted = profile._java_resource_profile
    scala_context.resourceProfileManager().addResourceProfile(wanted)
    return int(scala_context.maxNumConcurrentTasks(wanted))


def _age_ms(spark: SparkSession) -> float:
    """How long the application has been there: later stages need not wait for executors."""
    return time.time() * 1000 - spark.sparkContext.startTime


def _registering_ms(spark: SparkSession) -> int:
    conf = spark.sparkContext._jsc.sc().conf()
    return int(conf.getTimeAsMs(_REGISTERING, f"{_REGISTERING_MS}ms"))


def check_rows(train: Source, validation: Source | None, *, ranks: int, batch_size: int) -> None:
    """Check that there is a batch for every rank, and something to validate on.

    Raises:
        DataError: too few rows.
    """
    if train.total < ranks * batch_size:
        largest = train.total // ranks
        advice = (
            f"set batch_size to {largest} or less" if largest else "give it rows, or fewer ranks"
        )
        raise DataError(
            f"{train.total} rows to train on are fewer than {ranks} ranks x batch_size "
            f"{batch_size}; {advice}"
        )
    if validation is not None and validation.total == 0:
        raise DataError("the validation data has no rows; widen it, or leave it out")


def check_labels(spark: SparkSession, source: Source, labels: Sequence[str]) -> None:
    """Check that every row has its labels, by reading these columns alone.

    Raises:
        DataError: how many are null, NaN or infinite.
    """
    scan = Scan.of(source.scan.snapshot, labels)
    # The ranks see to the arrays, of which they know the length.
    names = [name for name in labels if not is_list(scan.schema.field(name).type)]
    if not names:
        return
    layout = Layout(columns=tuple(Feature(name) for name in names))

    def unlabelled(block: Block) -> np.ndarray:
        found: np.ndarray = (~np.isfinite(layout.matrix(scan.read(block)))).sum(axis=0)
        return found

    counts = np.sum(of_blocks(spark, source.blocks, unlabelled), axis=0)
    for name, number in zip(names, np.atleast_1d(counts), strict=False):
        if number:
            raise DataError(
                f"{number} of {source.total} rows have a label {name} that is null, NaN or "
                "infinite; drop them"
            )


def _advice(spark: SparkSession, ranks: int, slots: int) -> str:
    master = spark.sparkContext.master
    if is_local(spark):
        return (
            f"{ranks} ranks need {ranks} slots, but master {master} has {slots}; set ranks to "
            f"{slots} or less, or start the session with local[{ranks}]"
        )
    return (
        f"{ranks} ranks need {ranks} slots at once, but {master} gives this application {slots} "
        f"(executors x cores / spark.task.cpus, and their GPUs); set ranks to {max(slots, 1)} or "
        f"less, ask for more executors or cores, or set {_REGISTERING} if executors take longer "
        f"than {_registering_ms(spark) / 1000:g} s to come"
    )
