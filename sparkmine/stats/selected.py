"""What a question selects of a keyed state: all of it, or the first keys and where the others are.

Keys are spread over the reducers by their hash, evenly. So what is more than twice a reducer's
share of the driver's limit is too much for the driver, and the `top_k` most frequent keys of all
are among the first 2 · `top_k` / reducers of each. The driver sees whether they were: a part that
was cut holds back nothing that comes before the last key it sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import RecipeError
from sparkmine.expr import Vocabulary

if TYPE_CHECKING:
    from sparkmine.stats.large import KeyFiles

# Keys that stand for an answer which is too large.
_FEW = 100


@dataclass(frozen=True, eq=False, kw_only=True)
class Selected(ABC):
    """The keys that a question selected, most frequent first, ties in the order of the keys.

    Attributes:
        keys: All of them, or the first ones where they are too many for the driver.
        counts: Rows with each of them: [k], or [k, ...].
        size: How many keys there are.
        start: In a part of an answer, how many keys come before it.
        files: Where all keys are, if they are not here.
    """

    keys: pa.Array
    counts: np.ndarray
    size: int
    start: int = 0
    files: KeyFiles | None = None

    @property
    def rows_of_key(self) -> np.ndarray:
        """[k]"""
        return self.counts

    def taken(self, rows: np.ndarray) -> Self:
        """These keys alone; the totals stay."""
        return replace(self, keys=self.keys.take(pa.array(rows)), counts=self.counts[rows])

    @abstractmethod
    def part(self, table: pa.Table, start: int) -> Self:
        """Rows of the files as a part of this answer; `start` keys come before it."""

    def top(self, number: int | None = None) -> list[tuple[int | str, int]]:
        """The first `number` keys, by default all of them, and their rows.

        Raises:
            RecipeError: the driver does not hold so many.
        """
        wanted = self.size if number is None else min(number, self.size)
        if wanted > len(self.keys):
            column = f"column {self.files.stat.columns[0]!r}: " if self.files else ""
            raise RecipeError(
                f"{column}{self.size:,} categories are too many here; give a smaller top_k= or a "
                "larger min_count="
            )
        rows = self.rows_of_key[:wanted].tolist()
        return list(zip(self.keys[:wanted].to_pylist(), rows, strict=True))

    def vocabulary(self, make: Callable[[Any], Vocabulary], *, ordered: bool = False) -> Vocabulary:
        """What `make` gives for all keys.

        Where there are too many for the driver, executors call it for one part after the other
        and write what it gives into files: so it must treat each key by itself.

        Args:
            ordered: The parts come in the order of the keys and know their `start`.
        """
        if self.files is None:
            return make(self)
        return self.files.vocabulary(self.taken(np.arange(0)), make, ordered)


def sent(part: Selected, top_k: int | None, limit: int, reducers: int) -> Selected:
    """What a reducer sends to the driver of its part of an answer."""
    wanted = limit if top_k is None else min(top_k, limit)
    most = 2 * wanted // reducers + _FEW
    if len(part.keys) <= most:
        return part
    return part.taken(np.arange(most)) if wanted == top_k else first_few(part)


def first_few(part: Selected) -> Selected:
    """An answer that is elsewhere, with enough keys to show the most frequent ones."""
    return part.taken(np.arange(min(_FEW, len(part.keys))))


def by_frequency(keys: pa.Array, counts: np.ndarray) -> np.ndarray:
    """The order of an answer."""
    by_key = pc.array_sort_indices(keys).to_numpy()
    return by_key[np.argsort(-counts[by_key], kind="stable")]


def joined_parts(parts: Sequence[Selected], top_k: int | None) -> tuple[np.ndarray, int]:
    """From what the reducers sent: which of these keys are surely the first ones of the answer, in
    order, and how many keys the answer has."""
    keys = pa.concat_arrays([part.keys for part in parts])
    order = by_frequency(keys, np.concatenate([part.rows_of_key for part in parts]))
    size = sum(part.size for part in parts)
    size = size if top_k is None else min(size, top_k)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    ends = np.cumsum([len(part.keys) for part in parts])
    cut = [end for part, end in zip(parts, ends, strict=True) if len(part.keys) < part.size]
    known = min((int(place[end - 1]) + 1 for end in cut), default=len(order))
    return order[: min(known, size)], size
