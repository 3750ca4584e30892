"""What can be known to fail is refused before anything starts, in seconds.

Spark itself would wait up to ten minutes for slots that never come.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sparkmine.errors import (
    ConfigError,
    DataError,
    DynamicAllocationError,
    TooFewSlotsError,
)
from sparkmine.sessions import is_local
from sparkmine.train.source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Executors of a fresh application register one by one. Spark's own setting for how long to wait
# for them counts where it is set; this is for where it is not.
_REGISTERING = "spark.scheduler.maxRegisteredResourcesWaitingTime"
_REGISTERING_MS = 8_000


def check_cluster(spark: SparkSession, *, ranks: int, gpus_per_rank: int = 0) -> None:
    """Check that `ranks` barrier tasks can run at once.

    Raises:
        ConfigError: fewer than one rank.
        DynamicAllocationError: executors may come and go.
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
            "spark.dynamicAllocation.enabled=false, or submit the training stage by itself"
        )
    if local and gpus_per_rank:
        raise ConfigError(
            "gpus_per_rank needs a cluster: Spark has no task resources in local mode"
        )
    while (slots := count_slots(spark)) < ranks:
        if local or _age_ms(spark) > _registering_ms(spark):
            raise TooFewSlotsError(_advice(spark, ranks, slots))
        time.sleep(0.2)


def count_slots(spark: SparkSession) -> int:
    """Return how many tasks can run at once now, as Spark's own barrier check counts them."""
    scala_context = spark.sparkContext._jsc.sc()
    profile = scala_context.resourceProfileManager().defaultResourceProfile()
    return int(scala_context.maxNumConcurrentTasks(profile))


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


def _advice(spark: SparkSession, ranks: int, slots: int) -> str:
    master = spark.sparkContext.master
    if is_local(spark):
        return (
            f"{ranks} ranks need {ranks} slots, but master {master} has {slots}; set ranks to "
            f"{slots} or less, or start the session with local[{ranks}]"
        )
    return (
        f"{ranks} ranks need {ranks} slots at once, but {master} gives this application {slots} "
        f"(executors x cores / spark.task.cpus); set ranks to {max(slots, 1)} or less, ask for "
        f"more executors or cores, or set {_REGISTERING} if executors take longer than "
        f"{_registering_ms(spark) / 1000:g} s to come"
    )
