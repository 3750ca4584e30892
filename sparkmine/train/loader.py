"""Batches for one rank, read from Parquet row groups by Arrow in a background thread.

Memory holds at most three windows of the order (one in use, one waiting, one being read), or, for
a table that fits `cache_bytes`, the blocks of this rank once, so that later epochs read nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sparkmine.errors import DataError
from sparkmine.train.order import Order, Rest, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sparkmine.train.layout import Layout
    from sparkmine.train.source import Source

    Batch = tuple[NDArray[np.float32], NDArray[np.float32]]

T = TypeVar("T")

CACHE_BYTES = 256 << 20


class Blocks:
    """Reads blocks as (features, targets) and checks them; keeps them if all of them are small.

    The targets of a row are its labels and, behind them, its weight if rows have one.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        *,
        classes: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._source = source
        self._layout = layout
        self._classes = classes
        numbers = layout.width + len(layout.labels) + (layout.weight is not None)
        keep = source.total * numbers * 4 <= cache_bytes
        self._kept: dict[int, Batch] | None = {} if keep else None

    def read(self, number: int) -> Batch:
        """Return block `number`: features [rows, width] and targets, float32.

        Raises:
            DataError: a missing or infinite value, a label outside its classes, a negative weight,
                other rows than were counted.
        """
        if self._kept is not None and number in self._kept:
            return self._kept[number]
        block = self._source.blocks[number]
        table = self._source.scan.read(block)
        if table.num_rows != self._source.rows[number]:
            raise DataError(
                f"{block.path} row group {block.row_group}: {table.num_rows} rows, "
                f"{self._source.rows[number]} were counted; was the file replaced?"
            )
        batch = self._layout.matrix(table), self._layout.targets(table)
        self._check(*batch, where=f"{block.path} row group {block.row_group}")
        if self._kept is not None:
            self._kept[number] = batch
        return batch

    def _check(
        self, features: NDArray[np.float32], targets: NDArray[np.float32], *, where: str
    ) -> None:
        # A sum is one quick pass, and anything not finite makes it so; which column, only then.
        if not np.isfinite(features.sum(dtype=np.float64)):
            bad = ~np.isfinite(features).all(axis=0)
            names = [
                f.name for f, start in self._layout.placed if bad[start : start + f.width].any()
            ]
            if names:
                listed = ", ".join(names[:5])
                raise DataError(f"{where}: null, NaN or infinite features ({listed}); impute them")
        for name, labels in zip(self._layout.labels, targets.T, strict=False):
            self._check_labels(labels, where=f"{where}, {name}")
        if self._layout.weight is not None:
            wrong = int((~(np.isfinite(targets[:, -1]) & (targets[:, -1] >= 0))).sum())
            if wrong:
                raise DataError(
                    f"{where}: {wrong} weights in {self._layout.weight} are null, negative, NaN or "
                    "infinite; a weight is a number of at least 0"
                )

    def _check_labels(self, labels: NDArray[np.float32], *, where: str) -> None:
        if not np.isfinite(labels).all():
            raise DataError(
                f"{where}: {int((~np.isfinite(labels)).sum())} labels are null, NaN or infinite; "
                "drop these rows"
            )
        classes = self._classes
        if classes is None or not len(labels):
            return
        if (labels != np.floor(labels)).any() or labels.min() < 0 or labels.max() >= classes:
            raise DataError(
                f"{where}: labels must be whole numbers from 0 to {classes - 1}, found "
                f"{labels.min():g} to {labels.max():g}"
            )


class Loader:
    """The training batches of one rank."""

    def __init__(self, blocks: Blocks, order: Order, *, rank: int, batch_size: int) -> None:
        self._blocks = blocks
        self._order = order
        self._rank = rank
        self._batch_size = batch_size

    def steps(self, rest: Rest | None = None) -> int:
        """Batches of an epoch, or of the rest of one; equal on all ranks."""
        rows = (rest or self._order.whole).rows // self._order.ranks
        return -(-rows // self._batch_size)

    def batches(self, epoch: int, rest: Rest | None = None) -> Iterator[Batch]:
        """Yield `steps(rest)` batches; all but the last have `batch_size` rows."""
        left: list[Batch] = []
        held = 0
        for features, targets in prefetched(self._windows(epoch, rest), depth=1):
            left.append((features, targets))
            held += len(targets)
            if held < self._batch_size:
                continue
            features, targets = _joined(left)
            whole = held - held % self._batch_size
            for start in range(0, whole, self._batch_size):
                stop = start + self._batch_size
                yield features[start:stop], targets[start:stop]
            left, held = [(features[whole:], targets[whole:])], held - whole
        if held:
            yield _joined(left)

    def _windows(self, epoch: int, rest: Rest | None) -> Iterator[Batch]:
        for piece in self._order.pieces(epoch, self._rank, rest):
            features, targets = _joined([self._blocks.read(number) for number in piece.blocks])
            yield features[piece.take], targets[piece.take]


def validation_batches(
    blocks: Blocks, rows: tuple[int, ...], *, ranks: int, rank: int, batch_size: int
) -> Iterator[Batch]:
    """Yield the validation rows of one rank in table order; all ranks together see each once."""
    first, last = share(sum(rows), ranks, rank)

    def pieces() -> Iterator[Batch]:
        position = 0
        for number, count in enumerate(rows):
            low, high = max(first - position, 0), min(last - position, count)
            position += count
            if low < high:
                features, targets = blocks.read(number)
                yield features[low:high], targets[low:high]

    for features, targets in prefetched(pieces(), depth=1):
        for start in range(0, len(targets), batch_size):
            yield features[start : start + batch_size], targets[start : start + batch_size]


def prefetched(items: Iterator[T], *, depth: int) -> Iterator[T]:
    """Yield `items`, computed ahead in a thread; an error there is raised here."""
    ready: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(kind: str, value: T | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    threading.Thread(target=work, name="sparkmine-loader", daemon=True).start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            yield value  # type: ignore[misc]
    finally:
        stopped.set()


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])
