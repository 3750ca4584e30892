"""What the executors do for reasons: copies of rows between background and row, and their sums.

A walk goes from a background row to the row that is explained by one feature after the other. The
contribution of a feature is the mean of its steps over all walks, so it is a weighted sum of
scores, and the weights are the same for all rows: one matrix product a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.evaluate.explain.features import Feature
from sparkmine.evaluate.explain.probe import outputs_of
from sparkmine.evaluate.explain.told import Told, chosen, texts_of
from sparkmine.evaluate.metrics import Floats

if TYPE_CHECKING:
    from pyspark.sql.types import StructField

# Rows of one block of copies.
BLOCK = 20_000
_BLOCK, _PLACE, _COPY = "_block", "_place", "_copy"


@dataclass(frozen=True, kw_only=True)
class Walks:
    """The coalitions of b background rows and d features that every row is scored with.

    Fields:
        base: [b, k] the model's numbers for the background.
        owners: [c, d] whether a feature is the row's own in a coalition; the background's if not.
        against: [c] the background row of each coalition.
        shares: [1 + c, d] what the scores of the row and of each coalition count in the
            contribution of each feature; `start` [b, d] what those of the background do.
    """

    base: Floats
    owners: npt.NDArray[np.bool_]
    against: npt.NDArray[np.intp]
    shares: Floats
    start: Floats

    @classmethod
    def drawn(cls, base: Floats, features: int, orders: int, seed: int) -> Self:
        """Random orders for each background row, each with its reverse."""
        walks = len(base) * orders
        owners: list[npt.NDArray[np.bool_]] = []
        against: list[int] = []
        shares, start = [np.zeros(features)], np.zeros((len(base), features))
        generator = np.random.default_rng(seed)
        for row in range(len(base)):
            for _ in range(orders // 2):
                order = generator.permutation(features)
                for walk in (order, order[::-1]):
                    start[row, walk[0]] -= 1 / walks
                    shares[0][walk[-1]] += 1 / walks
                    for step in range(1, features):
                        own, share = np.zeros(features, bool), np.zeros(features)
                        own[walk[:step]] = True
                        share[walk[step - 1]], share[walk[step]] = 1 / walks, -1 / walks
                        owners.append(own)
                        against.append(row)
                        shares.append(share)
        return cls(
            base=base,
            owners=np.array(owners, bool).reshape(-1, features),
            against=np.array(against, np.intp),
            shares=np.array(shares),
            start=start,
        )

    def contributions(self, scores: Floats, chosen: npt.NDArray[np.intp]) -> Floats:
        """Contributions [n, d] to output `chosen` [n], from scores [n, 1 + c, k]."""
        own = np.take_along_axis(scores, chosen[:, None, None], axis=2)[:, :, 0]
        found: Floats = own @ self.shares + (self.base.T @ self.start)[chosen]
        return found


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What a task does with rows: every row, and its copy for each coalition."""

    walks: Walks
    players: tuple[Feature, ...]
    background: pa.Table
    base: tuple[str, ...]
    kept: tuple[str, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        block = (0 if context is None else context.partitionId()) << 40
        for batch in batches:
            for made in self.blocks(pa.Table.from_batches([batch]), block):
                yield from made.to_batches()
                block += 1

    def blocks(self, rows: pa.Table, first: int = 0) -> Iterator[pa.Table]:
        """The rows with their copies, in blocks that are numbered from `first` on."""
        size = max(1, BLOCK // (1 + len(self.walks.owners)))
        for block, at in enumerate(range(0, rows.num_rows, size), first):
            yield self._copies(rows.slice(at, size), block)

    def _copies(self, rows: pa.Table, block: int) -> pa.Table:
        count, copies = rows.num_rows, 1 + len(self.walks.owners)
        own = np.repeat(np.arange(count), copies).reshape(count, copies)
        other = np.broadcast_to(count + self.walks.against, (count, copies - 1))
        source: dict[str, pa.Array] = {}
        for place, player in enumerate(self.players):
            taken = own.copy()
            taken[:, 1:] = np.where(self.walks.owners[:, place], own[:, 1:], other)
            source |= dict.fromkeys(player.columns, pa.array(taken.reshape(-1)))
        columns = []
        for name in self.base:
            column = rows.column(name)
            both = pa.chunked_array(
                [*column.chunks, *self.background.column(name).cast(column.type).chunks]
            ).combine_chunks()
            columns.append(both.take(source.get(name, pa.array(own.reshape(-1)))))
        # What is kept of a row goes with the row itself, not with its copies.
        once = np.where(np.arange(copies) == 0, own, -1).reshape(-1)
        once = pa.array(once, mask=once < 0)
        texts = pa.array(texts_of(self.players, rows), pa.list_(pa.string()))
        beside = [rows.column(name).combine_chunks() for name in self.kept]
        columns += [column.take(once) for column in (*beside, texts)]
        columns.append(pa.array(np.full(count * copies, block, np.int64)))
        columns.append(pa.array(np.repeat(np.arange(count, dtype=np.int32), copies)))
        columns.append(pa.array(np.tile(np.arange(copies, dtype=np.int32), count)))
        names = [*self.base, *self.kept, "_texts", _BLOCK, _PLACE, _COPY]
        return pa.table(dict(zip(names, columns, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Finisher:
    """What a task does with the scores of a block: a line for each of its rows."""

    walks: Walks
    told: Told
    kept: tuple[str, ...]

    def __call__(self, table: pa.Table) -> pa.Table:
        copies, width = 1 + len(self.walks.owners), self.walks.base.shape[1]
        order = pc.sort_indices(table, [(_PLACE, "ascending"), (_COPY, "ascending")])
        table = table.take(order)
        scores = outputs_of(table, self.told.task, width)
        if scores.shape[1] != width:  # no row of the block has a score
            scores = np.full((len(scores), width), np.nan)
        scores = scores.reshape(-1, copies, width)
        first = table.take(pa.array(np.arange(len(scores)) * copies))
        parts = self.walks.contributions(scores, chosen(scores[:, 0]))
        texts = first.column("_texts").to_pylist()
        expected = self.walks.base.mean(axis=0)
        kept = {name: first.column(name) for name in self.kept}
        return pa.table({**kept, **self.told.columns(scores[:, 0], parts, expected, texts)})


def place_fields() -> list[StructField]:
    """Columns that say which copy of which row a score is of."""
    from pyspark.sql import types as t

    return [
        t.StructField(_BLOCK, t.LongType()),
        t.StructField(_PLACE, t.IntegerType()),
        t.StructField(_COPY, t.IntegerType()),
    ]
