"""What Spark's own readers have read, by the metrics of their tasks.

Files, ranges and caches count their rows; data that the driver holds counts none. Bytes are those
that Hadoop's file systems count: the vectored reads of local Parquet files are not among them,
unless `parquet.hadoop.vectored.io.enabled` is false.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class InputMetrics:
    """Rows and bytes that were read in the jobs of some blocks of code.

    A tag marks the jobs, so that a job group stays as its stage has set it. Spark keeps the metrics
    of the last `spark.ui.retainedStages` stages (1,000), with or without its web pages.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._context = spark.sparkContext
        self._tag = f"sparkmine-input-{uuid.uuid4().hex}"

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the jobs that this thread starts inside."""
        self._context.addJobTag(self._tag)
        try:
            yield
        finally:
            self._context.removeJobTag(self._tag)

    @property
    def rows(self) -> int:
        """Rows as the readers hand them on, before filters; of row groups that are read at all."""
        return sum(stage.inputRecords() for stage in self._stages())

    @property
    def bytes(self) -> int:
        return sum(stage.inputBytes() for stage in self._stages())

    def _stages(self) -> list[Any]:
        """All attempts of the stages of the jobs; a stage that two jobs share is there once."""
        jvm = self._context._jsc.sc()
        jvm.listenerBus().waitUntilEmpty()  # metrics arrive there some time after the result
        tracker, store = jvm.statusTracker(), jvm.statusStore()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForTag(self._tag)]
        numbers = {stage for job in jobs if job.isDefined() for stage in job.get().stageIds()}
        found = []
        for number in sorted(numbers):
            attempts = store.stageData(number, False, [], False, None)  # without their tasks
            found += [attempts.apply(i) for i in range(attempts.size())]
        return found
