"""What mining may hold in memory: in a task, and on the driver.

A task's need is known before it starts, from the items' counts, and answered by more and smaller
parts. The driver's is the itemsets themselves. How many it may hold follows from Spark's settings,
how many there will be from an estimate (`estimate.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.mine.eclat import Array

# More bytes than this in one task means more tasks.
TASK_BYTES = 1 << 30
# What an itemset or a rule costs the driver, texts and the copy on its way back to Spark included.
BYTES_PER_ITEMSET = 256
BYTES_PER_RULE = 512
_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Bytes that a result may take on the driver, and which settings say so."""

    bytes: int
    reason: str

    @classmethod
    def of(cls, spark: SparkSession) -> Budget:
        """Half of the driver's memory, and no more than it may collect."""
        conf = spark.sparkContext.getConf()
        memory = conf.get("spark.driver.memory") or "1g"
        collected = conf.get("spark.driver.maxResultSize") or "1g"
        half, most = bytes_of(memory, unit="m") // 2, bytes_of(collected, unit="")
        if 0 < most < half:  # 0 is no limit
            return cls(bytes=most, reason=f"spark.driver.maxResultSize is {collected}")
        return cls(bytes=half, reason=f"half of spark.driver.memory, {memory}")

    def allows(self, size: int) -> int:
        """How many results of `size` bytes."""
        return max(1, self.bytes // size)


def bytes_of(text: str, unit: str) -> int:
    """Bytes of a size as Spark writes them, 6g or 512 MiB; without a unit it is in `unit`."""
    number = text.strip().lower().removesuffix("ib").removesuffix("b").strip()
    if number[-1:] in _UNITS:
        number, unit = number[:-1], number[-1]
    return int(number) << _UNITS.get(unit, 0)


def bytes_per_task(counts: Array, parts: int) -> int:
    """Memory estimate for mining one of `parts`: the entries' index and the largest bit matrix.

    Args:
        counts: baskets of each frequent item, ascending.
    """
    extensions = np.arange(len(counts))[::-1]
    bits = int((counts * extensions).max(initial=0)) // 8
    index = 24 * int(counts.sum())
    return (bits + index) // parts
