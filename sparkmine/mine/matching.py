"""Which rules a basket fulfils, for thousands of baskets at once in NumPy.

A rule is looked at only in baskets that hold its anchor, the item of its antecedent that is in the
fewest antecedents. A matrix of booleans, baskets by items, then answers for the other items. Rules
come in order of preference, so their number is their rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from sparkmine.mine.baskets import Batches
    from sparkmine.mine.eclat import Array

# Cells of the matrix of baskets by items, and pairs of basket and rule, that one step may hold.
CELLS = 1 << 25
PAIRS = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """Baskets [basket, items: list of texts] to their `top_k` items [basket, item, score, the
    rule's antecedent and consequent]; for `mapInArrow`.

    Fields:
        items: all items of the rules, ascending.
        antecedents, consequents: places in `items` [rules, longest], filled up with len(items).
        anchored: the rules ordered by their anchor; anchors: where each item's begin.
        rules: [antecedent, consequent, score] of each rule, the best one first.
    """

    items: pa.Array
    antecedents: Array
    consequents: Array
    anchored: Array
    anchors: Array
    rules: pa.Table
    top_k: int

    @classmethod
    def of(cls, rules: pa.Table, top_k: int) -> Matcher:
        """Of rules [antecedent, consequent, score], the best one first."""
        rules = rules.combine_chunks()
        sides = [rules.column(name).combine_chunks() for name in ("antecedent", "consequent")]
        texts = pa.chunked_array([side.flatten() for side in sides], pa.string())
        items = pc.unique(texts).sort()
        left, right = (_padded(side, items) for side in sides)
        uses = np.bincount(left.ravel(), minlength=len(items) + 1)
        uses[len(items)] = np.iinfo(np.int64).max
        anchor = left[np.arange(len(left)), uses[left].argmin(axis=1)] if len(left) else left[:, :0]
        return cls(
            items=items,
            antecedents=left,
            consequents=right,
            anchored=np.argsort(anchor.ravel(), kind="stable"),
            anchors=np.searchsorted(np.sort(anchor.ravel()), np.arange(len(items) + 1)),
            rules=rules,
            top_k=top_k,
        )

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            lists = batch.column(1)
            codes = pc.index_in(lists.flatten(), value_set=self.items)
            known = pc.is_valid(codes)
            homes = pc.list_parent_indices(lists).filter(known).to_numpy(zero_copy_only=False)
            codes = codes.filter(known).to_numpy(zero_copy_only=False)
            for begin, end in self._steps(homes, codes, batch.num_rows):
                low, high = np.searchsorted(homes, [begin, end])
                found = self._best(homes[low:high] - begin, codes[low:high], end - begin)
                if len(found[0]):
                    yield self._rows(batch, begin, *found)

    def _steps(self, homes: Array, codes: Array, baskets: int) -> Iterator[tuple[int, int]]:
        """Ranges of baskets that are small enough to match at once."""
        pairs = np.bincount(homes, np.diff(self.anchors)[codes], minlength=baskets)
        total = np.concatenate([[0], np.cumsum(pairs)])
        most = max(1, CELLS // (len(self.items) + 1))
        begin = 0
        while begin < baskets:
            fit = int(np.searchsorted(total, total[begin] + PAIRS, side="right")) - 1
            end = min(max(begin + 1, fit), begin + most, baskets)
            if total[end] > total[begin]:
                yield begin, end
            begin = end

    def _best(self, homes: Array, codes: Array, baskets: int) -> tuple[Array, Array, Array]:
        """Baskets, items and rules of what is recommended, basket by basket, the best first."""
        width = len(self.items) + 1
        holds = np.zeros((baskets, width), dtype=bool)
        holds[homes, codes] = True
        holds[:, -1] = True  # what rules are filled up with
        numbers = np.diff(self.anchors)[codes]
        places = np.arange(numbers.sum()) + np.repeat(
            self.anchors[codes] - (np.cumsum(numbers) - numbers), numbers
        )
        homes, rules = np.repeat(homes, numbers), self.anchored[places]
        for place in range(self.antecedents.shape[1]):
            passes = holds[homes, self.antecedents[rules, place]]
            homes, rules = homes[passes], rules[passes]
        items = self.consequents[rules].ravel()
        homes, rules = (np.repeat(v, self.consequents.shape[1]) for v in (homes, rules))
        new = ~holds[homes, items]
        homes, items, rules = homes[new], items[new], rules[new]
        order = np.lexsort((items, rules, homes))
        homes, items, rules = homes[order], items[order], rules[order]
        # The first of each basket and item is by its best rule.
        first = np.sort(np.unique(homes * np.int64(width) + items, return_index=True)[1])
        homes, items, rules = homes[first], items[first], rules[first]
        rank = np.arange(len(homes)) - np.searchsorted(homes, homes)
        best = rank < self.top_k
        return homes[best], items[best], rules[best]

    def _rows(
        self, batch: pa.RecordBatch, begin: int, homes: Array, items: Array, rules: Array
    ) -> pa.RecordBatch:
        given = self.rules.take(pa.array(rules)).combine_chunks()
        columns = [given.column(n).combine_chunks() for n in ("score", "antecedent", "consequent")]
        return pa.record_batch(
            [
                batch.column(0).take(pa.array(homes + begin)),
                self.items.take(pa.array(items)),
                *columns,
            ],
            names=["basket", "item", "score", "antecedent", "consequent"],
        )


def _padded(lists: pa.ListArray, items: pa.Array) -> Array:
    """Places in `items` [rules, longest]; rows that are shorter are filled up with len(items)."""
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    table = np.full((len(lists), int(lengths.max(initial=0))), len(items), dtype=np.int64)
    rows = np.repeat(np.arange(len(lists)), lengths)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    codes = pc.index_in(lists.flatten(), value_set=items).to_numpy(zero_copy_only=False)
    table[rows, places] = codes
    return table
