"""Where pieces are and how they come together: on the executors, or, if few, in this process.

A Spark job takes a second and more, whatever it does. What tasks do with their pieces is a function
of Arrow batches, and it does not matter whether a task or the driver calls it: `Here` stands for a
small batch, `Spread` for everything else. What is computed is the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup.checkpoint import cut, release
from sparkmine.dedup.pieces import ARROW, SCHEMA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Task = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_TASK_BYTES = 1 << 26


class Pieces(ABC):
    """Pieces that are there, or will be once they are asked for."""

    @abstractmethod
    def of(self, *kinds: int) -> Pieces:
        """The pieces of some kinds."""

    @abstractmethod
    def union(self, other: Pieces) -> Pieces:
        """These and others, which are in the same place."""

    @abstractmethod
    def met(self, size: int, buckets: int) -> Pieces:
        """All pieces of a bucket in one task; `size` is about their bytes."""

    @abstractmethod
    def together(self) -> Pieces:
        """All pieces in one task."""

    @abstractmethod
    def through(self, task: Task) -> Pieces:
        """What the tasks make of them."""

    @abstractmethod
    def cut(self, *kinds: int) -> Held:
        """Compute them now, and count what they hold of the kinds that are asked for."""

    @abstractmethod
    def here(self) -> Here:
        """Bring them into this process; there are few."""


class Held(Pieces):
    """Pieces that are there."""

    @abstractmethod
    def count(self, kind: int) -> int:
        """The sum of the numbers of a kind."""

    @abstractmethod
    def bytes(self, *kinds: int) -> int:
        """The bytes of the payloads of some kinds."""

    @abstractmethod
    def release(self) -> None:
        """Give them up."""


class Spread(Pieces):
    """Pieces that a plan of Spark gives.

    Attributes:
        frame: The plan.
    """

    def __init__(self, frame: DataFrame) -> None:
        self.frame = frame

    def of(self, *kinds: int) -> Spread:
        from pyspark.sql import functions as F

        return Spread(self.frame.where(F.col("kind").isin(*kinds)).select(*ARROW.names))

    def union(self, other: Pieces) -> Spread:
        assert isinstance(other, Spread)
        return Spread(self.frame.union(other.frame))

    def met(self, size: int, buckets: int) -> Spread:
        from pyspark.sql import functions as F

        cores = self.frame.sparkSession.sparkContext.defaultParallelism
        tasks = max(1, min(buckets, max(cores, -(-size // _TASK_BYTES))))
        task = F.expr(f"CAST(bucket * {tasks}L DIV {buckets} AS INT)")
        return Spread(self.frame.repartitionById(tasks, task))

    def together(self) -> Spread:
        return Spread(self.frame.repartition(1))

    def through(self, task: Task) -> Spread:
        return Spread(self.frame.mapInArrow(task, SCHEMA))

    def cut(self, *kinds: int) -> Cut:
        return Cut(self.frame, *kinds)

    def here(self) -> Here:
        return Here(self.frame.toArrow().to_batches())


class Cut(Spread, Held):
    """A checkpoint of pieces, with what it holds of the kinds that are asked for."""

    def __init__(self, df: DataFrame, *kinds: int) -> None:
        from pyspark.sql import functions as F

        asked = {}
        for kind in kinds:
            for name, value in (("number", "number"), ("bytes", "octet_length(payload)")):
                asked[f"{name}_{kind}"] = F.expr(f"sum(if(kind = {kind}, {value}, 0))")
        frame, self._found = cut(df, **asked)
        super().__init__(frame)

    def count(self, kind: int) -> int:
        return int(self._found[f"number_{kind}"] or 0)

    def bytes(self, *kinds: int) -> int:
        return sum(int(self._found[f"bytes_{kind}"] or 0) for kind in kinds)

    def release(self) -> None:
        release(self.frame)


class Here(Held):
    """Pieces in this process."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.table = pa.Table.from_batches(batches, ARROW)

    @property
    def batches(self) -> list[pa.RecordBatch]:
        return list(self.table.to_batches())

    def of(self, *kinds: int) -> Here:
        wanted = pc.is_in(self.table["kind"], pa.array(kinds, pa.int32()))
        return Here(self.table.filter(wanted).to_batches())

    def union(self, other: Pieces) -> Here:
        assert isinstance(other, Here)
        return Here([*self.batches, *other.batches])

    def met(self, size: int, buckets: int) -> Here:
        return self

    def together(self) -> Here:
        return self

    def through(self, task: Task) -> Here:
        return Here(task(self.batches))

    def cut(self, *kinds: int) -> Here:
        return self

    def here(self) -> Here:
        return self

    def count(self, kind: int) -> int:
        return sum(self._column("number", kind).to_pylist())

    def bytes(self, *kinds: int) -> int:
        sizes = (pc.sum(pc.binary_length(self._column("payload", kind))) for kind in kinds)
        return sum(size.as_py() or 0 for size in sizes)

    def release(self) -> None:
        self.table = self.table.slice(0, 0)

    def _column(self, name: str, kind: int) -> pa.ChunkedArray:
        return self.table.filter(pc.equal(self.table["kind"], kind))[name]
