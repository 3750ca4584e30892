"""The label's sum and count for each category, and for each fold of rows apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.expr.murmur import murmur3
from sparkmine.stats.base import KeyedStat, Stat
from sparkmine.stats.counts import owner
from sparkmine.stats.selected import Selected, joined_parts


@dataclass(frozen=True, eq=False)
class LabelState:
    """Distinct `keys` in ascending order; `counts` and `sums` of the label, [k, folds].

    `all_counts` and `all_sums`, [folds], are of all rows with a label, with a category or not.
    """

    keys: pa.Array
    counts: np.ndarray
    sums: np.ndarray
    all_counts: np.ndarray
    all_sums: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class SelectedSums(Selected):
    """The selected categories, most frequent first, ties in the order of the keys.

    Attributes:
        counts, sums: [k, folds].
        all_counts, all_sums: [folds], of all rows with a label.
    """

    sums: np.ndarray
    all_counts: np.ndarray
    all_sums: np.ndarray

    @property
    def rows_of_key(self) -> np.ndarray:
        return self.counts.sum(axis=1)

    def taken(self, rows: np.ndarray) -> SelectedSums:
        return replace(super().taken(rows), sums=self.sums[rows])

    def part(self, table: pa.Table, start: int) -> SelectedSums:
        keys, folds = table.column("key").combine_chunks(), len(self.all_counts)
        counts, sums = _matrix(table, "counts", folds), _matrix(table, "sums", folds)
        return replace(self, keys=keys, counts=counts, sums=sums, start=start)


@dataclass(frozen=True)
class LabelSums(KeyedStat):
    """Sums of a numeric label by the category in `column`, as text.

    Rows without a finite label are left out. With `fold`, the rows of a value of
    that column are in one of `folds` folds, the hash of the value (as text) modulo `folds`.
    """

    column: str
    label: str
    fold: str | None = None
    folds: int = 1
    top_k: int | None = None
    min_count: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.label, *([self.fold] if self.fold else []))

    @property
    def base(self) -> Stat:
        return replace(self, top_k=None, min_count=1)

    def zero(self) -> LabelState:
        counts, sums = np.zeros((1, self.folds), np.int64), np.zeros((1, self.folds))
        return LabelState(pa.array([], pa.string()), counts[:0], sums[:0], counts[0], sums[0])

    def update(self, state: LabelState, arrays: list[pa.Array]) -> LabelState:
        texts = pc.cast(arrays[0], pa.string())
        labels = pc.cast(arrays[1], pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        labelled = np.flatnonzero(np.isfinite(labels))
        labels, encoded = labels[labelled], texts.take(pa.array(labelled)).dictionary_encode()
        fold = np.zeros(len(labelled), np.int64)
        if self.fold is not None:
            names = pc.fill_null(pc.cast(arrays[2], pa.string()), "").take(pa.array(labelled))
            fold = np.mod(murmur3(names).astype(np.int64), self.folds)
        # The last row of the tables is that of rows without a category.
        size = len(encoded.dictionary)
        index = pc.fill_null(encoded.indices, size).to_numpy(zero_copy_only=False)
        cells = index.astype(np.int64) * self.folds + fold
        shape = (size + 1, self.folds)
        counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        sums = np.bincount(cells, weights=labels, minlength=shape[0] * shape[1]).reshape(shape)
        totals = counts.sum(axis=0), sums.sum(axis=0)
        return self.merge(
            state, LabelState(encoded.dictionary, counts[:size], sums[:size], *totals)
        )

    def merge(self, a: LabelState, b: LabelState) -> LabelState:
        encoded = pa.concat_arrays([a.keys, b.keys]).dictionary_encode()
        order = pc.array_sort_indices(encoded.dictionary)
        place = np.empty(len(order), np.int64)
        place[order.to_numpy()] = np.arange(len(order))
        rows = place[encoded.indices.to_numpy()]
        counts = np.zeros((len(order), self.folds), np.int64)
        sums = np.zeros((len(order), self.folds))
        np.add.at(counts, rows, np.concatenate([a.counts, b.counts]))
        np.add.at(sums, rows, np.concatenate([a.sums, b.sums]))
        totals = a.all_counts + b.all_counts, a.all_sums + b.all_sums
        return LabelState(encoded.dictionary.take(order), counts, sums, *totals)

    def split(self, state: LabelState, parts: int) -> list[LabelState]:
        if not len(state.keys):
            return [state]
        home, none = owner(state.keys, parts), self.zero()
        pieces = []
        for part in range(parts):
            rows = np.flatnonzero(home == part)
            whole = none if part else state  # the totals go with the first part
            keys, counts = state.keys.take(pa.array(rows)), state.counts[rows]
            pieces.append(
                LabelState(keys, counts, state.sums[rows], whole.all_counts, whole.all_sums)
            )
        return pieces

    def select(self, state: LabelState) -> SelectedSums:
        rows = state.counts.sum(axis=1)
        enough = np.flatnonzero(rows >= self.min_count)
        order = enough[np.argsort(-rows[enough], kind="stable")][: self.top_k]
        return SelectedSums(
            keys=state.keys.take(pa.array(order)),
            counts=state.counts[order],
            size=len(order),
            sums=state.sums[order],
            all_counts=state.all_counts,
            all_sums=state.all_sums,
        )

    def join(self, selected: Sequence[SelectedSums]) -> SelectedSums:
        if not selected:
            return self.select(self.zero())
        first, size = joined_parts(selected, self.top_k)
        return SelectedSums(
            keys=pa.concat_arrays([one.keys for one in selected]).take(pa.array(first)),
            counts=np.concatenate([one.counts for one in selected])[first],
            size=size,
            sums=np.concatenate([one.sums for one in selected])[first],
            all_counts=sum((one.all_counts for one in selected), self.zero().all_counts),
            all_sums=sum((one.all_sums for one in selected), self.zero().all_sums),
        )

    def table(self, state: LabelState) -> pa.Table:
        counts = np.vstack([state.counts, state.all_counts])
        sums = np.vstack([state.sums, state.all_sums])
        ends = pa.array(np.arange(0, counts.size + 1, self.folds, dtype=np.int32))
        return pa.table(
            {
                "key": pa.concat_arrays([state.keys, pa.nulls(1, pa.string())]),
                "count": counts.sum(axis=1),
                "counts": pa.ListArray.from_arrays(ends, pa.array(counts.ravel())),
                "sums": pa.ListArray.from_arrays(ends, pa.array(sums.ravel())),
            }
        )

    def state(self, table: pa.Table) -> LabelState:
        keys = table.column("key").combine_chunks()
        counts, sums = _matrix(table, "counts", self.folds), _matrix(table, "sums", self.folds)
        return LabelState(keys[:-1], counts[:-1], sums[:-1], counts[-1], sums[-1])


def _matrix(table: pa.Table, name: str, folds: int) -> np.ndarray:
    """A column of lists of equal length as [rows, folds]."""
    return table.column(name).combine_chunks().flatten().to_numpy().reshape(-1, folds)
