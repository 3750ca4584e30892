"""Cut a plan: what was computed so far is kept, and how it was computed is forgotten.

Without a cut the plan of an iterative algorithm grows with its rounds. With a checkpoint folder
(`spark.sparkContext.setCheckpointDir`) the rows are on shared storage and survive a lost
executor; without one they are on the executors, in memory or on their disks, and a lost executor
fails the job.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def cut(df: DataFrame, **figures: Column) -> tuple[DataFrame, dict[str, Any]]:
    """The rows of `df`, computed now, as a DataFrame without a past.

    Args:
        figures: Aggregations over the rows, which are computed on the way.

    Returns:
        The checkpoint, and the figures by name.
    """
    from pyspark.sql import Observation

    watched = Observation(f"cut-{uuid.uuid4().hex}") if figures else None
    if watched is not None:
        df = df.observe(watched, *(column.alias(name) for name, column in figures.items()))
    reliable = df.sparkSession.sparkContext.getCheckpointDir()
    kept = df.checkpoint(eager=True) if reliable else df.localCheckpoint(eager=True)
    return kept, {} if watched is None else watched.get


def release(df: DataFrame) -> None:
    """Give up the rows of a cut; without this they go when Java collects them."""
    df._jdf.queryExecution().logical().rdd().unpersist(False)
