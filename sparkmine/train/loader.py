"""Batches for one rank, read from Parquet row groups by Arrow in background threads.

One thread decodes, the next one makes matrices and shuffles, and both run ahead of the training.
Memory holds at most three windows of the order as Arrow columns (one that becomes a matrix, one
that waits, one being read), one as a matrix and one as batches; `order.window_rows` bounds what a
window takes, but for its last row group, which is read as a whole. For a table that fits
`cache_bytes` the blocks of this rank are kept as matrices, so that later epochs read nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sparkmine.errors import DataError
from sparkmine.train.order import Order, Piece, Rest, share

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from sparkmine.train.layout import Layout
    from sparkmine.train.source import Source

    Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
    Positions = NDArray[np.int64]

T = TypeVar("T")

CACHE_BYTES = 256 << 20
_ALIGNED_BYTES = 64


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
        keep = source.total * layout.row_bytes <= cache_bytes
        self._kept: dict[int, Batch] | None = {} if keep else None

    def read(self, number: int) -> Batch:
        """Return block `number`: features [rows, width] and targets, float32.

        Raises:
            DataError: a missing or infinite value, a label outside its classes, a negative weight,
                other rows than were counted.
        """
        if self._kept is not None and number in self._kept:
            return self._kept[number]
        batch = self.room(self._source.rows[number])
        self._fill(*batch, number, self._decoded(number))
        if self._kept is not None:
            self._kept[number] = batch
        return batch

    def decoded(self, number: int) -> pa.Table | None:
        """Return the columns of block `number`, or None where its matrices are kept."""
        return self._decoded(number) if self._kept is None else None

    def fill(self, batch: Batch, number: int, table: pa.Table | None) -> None:
        """Write what `read` returns into `batch`, of what `decoded` gave."""
        if table is not None:
            self._fill(*batch, number, table)
            return
        for room, kept in zip(batch, self.read(number), strict=True):
            room[:] = kept

    def room(self, rows: int) -> Batch:
        """Return uninitialised features and targets of so many rows."""
        layout = self._layout
        targets = len(layout.labels) + (layout.weight is not None)
        return np.empty((rows, layout.width), np.float32), np.empty((rows, targets), np.float32)

    def rows(self, number: int) -> int:
        """Return how many rows block `number` has."""
        return self._source.rows[number]

    def _decoded(self, number: int) -> pa.Table:
        return self._source.scan.read(self._source.blocks[number], threads=True)

    def _fill(
        self,
        features: NDArray[np.float32],
        targets: NDArray[np.float32],
        number: int,
        table: pa.Table,
    ) -> None:
        block = self._source.blocks[number]
        if table.num_rows != self._source.rows[number]:
            raise DataError(
                f"{block.path} row group {block.row_group}: {table.num_rows} rows, "
                f"{self._source.rows[number]} were counted; was the file replaced?"
            )
        self._layout.fill(features, table)
        targets[:] = self._layout.targets(table)
        self._check(features, targets, where=f"{block.path} row group {block.row_group}")

    def _check(
        self, features: NDArray[np.float32], targets: NDArray[np.float32], *, where: str
    ) -> None:
        # One quick pass, and anything not finite makes it so; which column, only then.
        flat = features.reshape(-1)
        if not np.isfinite(np.dot(flat, flat)):
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
        # As many batches ahead as a window has, so that making the next one holds up nobody.
        ahead = max(self._order.window_rows // self._batch_size, 2)
        yield from prefetched(self._batches(epoch, rest), depth=ahead)

    def _batches(self, epoch: int, rest: Rest | None) -> Iterator[Batch]:
        left: list[Batch] = []  # of the windows before, less than a batch
        held = 0
        for window, take in self._windows(epoch, rest):
            start = 0
            while len(take) - start >= self._batch_size - held:
                stop = start + self._batch_size - held
                yield _joined([*left, _taken(window, take[start:stop])])
                left, held, start = [], 0, stop
            if start < len(take):
                left.append(_taken(window, take[start:]))
                held += len(take) - start
        if held:
            yield _joined(left)

    def _windows(self, epoch: int, rest: Rest | None) -> Iterator[tuple[Batch, Positions]]:
        """Yield the rows of a window and which of them to take; the next one overwrites them."""
        room = self._blocks.room(0)
        for piece, tables in prefetched(self._decoded(epoch, rest), depth=1):
            ends = list(accumulate(self._blocks.rows(number) for number in piece.blocks))
            if len(room[1]) < ends[-1]:
                room = self._blocks.room(ends[-1])
            # From the end, so that each is let go as soon as it was copied.
            for number, end in zip(reversed(piece.blocks), reversed(ends), strict=True):
                begin = end - self._blocks.rows(number)
                self._blocks.fill((room[0][begin:end], room[1][begin:end]), number, tables.pop())
            yield room, piece.take

    def _decoded(
        self, epoch: int, rest: Rest | None
    ) -> Iterator[tuple[Piece, list[pa.Table | None]]]:
        for piece in self._order.pieces(epoch, self._rank, rest):
            yield piece, [self._blocks.decoded(number) for number in piece.blocks]


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


def _taken(window: Batch, rows: Positions) -> Batch:
    return _rows(window[0], rows), _rows(window[1], rows)


def _rows(matrix: NDArray[np.float32], rows: Positions) -> NDArray[np.float32]:
    """Return `matrix[rows]`: a row is copied as a whole, which NumPy does only if told."""
    found = _aligned(len(rows), matrix.shape[1])
    if matrix.shape[1]:
        row = np.dtype((np.void, matrix.strides[0]))
        np.take(matrix.view(row)[:, 0], rows, out=found.view(row)[:, 0], mode="clip")
    return found


def _aligned(rows: int, width: int) -> NDArray[np.float32]:
    """Return room that TensorFlow takes over without a copy, because it starts at 64 bytes."""
    raw = np.empty(rows * width * 4 + _ALIGNED_BYTES, np.uint8)
    start = -raw.__array_interface__["data"][0] % _ALIGNED_BYTES
    return raw[start : start + rows * width * 4].view(np.float32).reshape(rows, width)


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])
