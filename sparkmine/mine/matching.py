"""Which rules a basket fulfils, for tens of thousands of baskets at once in NumPy.

Baskets become bits, a row for each item: the baskets that hold an antecedent are the AND of its
rows, as in Eclat (`eclat.py`). Rules come in order of preference, and each takes the baskets that
lack an item of its consequent and were not recommended that item by an earlier rule; so an item
gets its best rule. That is some ten NumPy calls a rule, whatever the number of baskets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.mine.eclat import bit_matrix

if TYPE_CHECKING:
    from sparkmine.mine.baskets import Batches
    from sparkmine.mine.eclat import Array

# Most baskets in one step, and bytes of their bits.
BASKETS = 1 << 17
BITS = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """Baskets [basket, items: list of texts] to their `top_k` items [basket, item, score, the
    rule's antecedent and consequent]; for `mapInArrow`.

    Fields:
        items: all items of the rules, ascending.
        antecedents, consequents: of each rule, as places in `items`.
        rules: [antecedent, consequent, score] of each rule, the best one first.
    """

    items: pa.Array
    antecedents: list[Array]
    consequents: list[Array]
    rules: pa.Table
    top_k: int

    @classmethod
    def of(cls, rules: pa.Table, top_k: int) -> Matcher:
        """Of rules [antecedent, consequent, score], the best one first."""
        rules = rules.combine_chunks()
        sides = [rules.column(name).combine_chunks() for name in ("antecedent", "consequent")]
        texts = pa.chunked_array([side.flatten() for side in sides], pa.string())
        items = pc.unique(texts).sort()
        left, right = (_places(side, items) for side in sides)
        return cls(items=items, antecedents=left, consequents=right, rules=rules, top_k=top_k)

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        if not self.antecedents:
            return
        step = max(64, min(BASKETS, 8 * BITS // len(self.items)))
        for table in _tables(batches, step):
            for begin in range(0, len(table), step):
                yield from self._matched(table.slice(begin, step))

    def _matched(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        lists = pa.concat_arrays(table.column(1).chunks)
        codes = pc.index_in(lists.flatten(), value_set=self.items)
        known = pc.is_valid(codes)
        homes = pc.list_parent_indices(lists).filter(known).to_numpy(zero_copy_only=False)
        codes = codes.filter(known).to_numpy(zero_copy_only=False)
        items = len(self.items)
        homes, items_of, rules = self._best(
            bit_matrix(codes, homes, len(lists), np.arange(items), items)
        )
        if not len(homes):
            return
        given = self.rules.take(pa.array(rules)).combine_chunks()
        columns = [given.column(n).combine_chunks() for n in ("score", "antecedent", "consequent")]
        yield pa.record_batch(
            [
                pa.concat_arrays(table.column(0).chunks).take(pa.array(homes)),
                self.items.take(pa.array(items_of)),
                *columns,
            ],
            names=["basket", "item", "score", "antecedent", "consequent"],
        )

    def _best(self, holds: Array) -> tuple[Array, Array, Array]:
        """Baskets, items and rules of what is recommended, basket by basket, the best first.

        Args:
            holds: which basket holds which item, as bits [items, words].
        """
        lacks = ~holds
        found: list[Array] = [np.zeros((3, 0), np.int64)]
        for rule, (left, right) in enumerate(zip(self.antecedents, self.consequents, strict=True)):
            cover = np.bitwise_and.reduce(holds[left], axis=0)
            for item in right if cover.any() else ():
                new = cover & lacks[item]
                if new.any():
                    lacks[item] ^= new
                    homes = _set_bits(new)
                    found.append(np.stack([homes, *np.full((2, len(homes)), [[item], [rule]])]))
        homes, items, rules = np.concatenate(found, axis=1)
        order = np.lexsort((items, rules, homes))
        homes, items, rules = homes[order], items[order], rules[order]
        first = np.arange(len(homes)) - np.searchsorted(homes, homes) < self.top_k
        return homes[first], items[first], rules[first]


def _set_bits(words: Array) -> Array:
    """The places of the bits that are set; most words have none."""
    used = np.flatnonzero(words)
    word, bit = np.divmod(np.flatnonzero(np.unpackbits(words[used].view(np.uint8))), 64)
    places: Array = used[word] * 64 + bit
    return places


def _tables(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The batches together, `rows` or more at a time."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(len(batch) for batch in waiting) >= rows:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _places(lists: pa.ListArray, items: pa.Array) -> list[Array]:
    codes = pc.index_in(lists.flatten(), value_set=items).to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return np.split(codes, np.cumsum(lengths)[:-1]) if len(lists) else []
