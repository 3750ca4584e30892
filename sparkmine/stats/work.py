"""What one scan is to find out: the states of all stats, and the answers of keyed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkmine.stats import task
from sparkmine.stats.base import KeyedStat, Stat
from sparkmine.stats.memory import Memory, bucket_of, write_counts
from sparkmine.stats.selected import Selected, sent
from sparkmine.stats.task import Earlier, Request, Row


@dataclass(frozen=True)
class Work:
    """It travels to the tasks.

    Attributes:
        requests: What is scanned: the different states.
        questions: What is asked of them, as (number of the request, stat).
        buckets: Into how many the keys are split by their hash; one reducer has one of them.
        folder: Takes the full counts of keyed states; None keeps none.
        limit: Keys of one answer that come to the driver.
    """

    requests: list[Request]
    questions: list[tuple[int, Stat]]
    buckets: int
    folder: Path | None
    limit: int

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return sorted({n for r in self.requests for expr in r.inputs for n in expr.columns})

    @property
    def keyed(self) -> bool:
        """Whether states must meet by their keys."""
        return any(stat.keyed for _, stat in self.questions)

    def scan(self, blocks: Iterable[Any], part: int, group: int = 0) -> Iterator[Row]:
        """The states of one task's blocks; those that are not keyed in the bucket `group`."""
        return task.scanned(self.requests, blocks, part=part, buckets=self.buckets, group=group)

    def merge(self, rows: Iterable[Row]) -> Iterator[Row]:
        """One state for each stat and bucket."""
        return task.merged(self.requests, rows)

    def reduce(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same, and in place of keyed states the answers to what is asked of them."""
        return task.selected(self.requests, self.questions, rows, self._keep, self._answer)

    def earlier(self, before: Memory | None) -> list[Row]:
        """The counts of an earlier fit, as if a task had counted them."""
        if before is None:
            return []
        return [
            (number, bucket_of(file), -1, Earlier(file))
            for number, request in enumerate(self.requests)
            if request.stat.keyed
            for file in before.files(request.key)
        ]

    def _keep(self, number: int, bucket: int, state: Any) -> None:
        request = self.requests[number]
        if self.folder is not None and isinstance(request.stat, KeyedStat):
            table = request.stat.table(state)
            write_counts(self.folder, request.key, bucket, self.buckets, table)

    def _answer(self, stat: KeyedStat, state: Any) -> Selected:
        return sent(stat.select(state), stat.top_k, self.limit, self.buckets)
