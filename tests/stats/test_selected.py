"""Of a large answer the driver gets the first keys, and only those that surely are the first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import RecipeError
from sparkmine.stats import Counts
from sparkmine.stats.label_sums import LabelSums
from sparkmine.stats.selected import sent

RNG = np.random.default_rng(31)
WORDS = RNG.zipf(1.3, 30_000) % 5000
TEXTS = pa.array(np.char.add("w", WORDS.astype(str)))


def ordered() -> list[tuple[str, int]]:
    keys, counts = np.unique(TEXTS.to_numpy(zero_copy_only=False), return_counts=True)
    pairs = zip(keys.tolist(), counts.tolist(), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def joined(stat: Any, arrays: list[pa.Array], limit: int, reducers: int = 4) -> Any:
    state = stat.update(stat.zero(), arrays)
    parts = [stat.select(piece) for piece in stat.split(state, reducers)]
    return stat.join([sent(part, stat.top_k, limit, reducers) for part in parts])


@pytest.mark.parametrize("top_k", [None, 1, 50, 700, 4000])
def test_the_first_keys_of_a_large_answer(top_k: int | None) -> None:
    expected = ordered()
    for limit in (10, 300, 10_000):
        found = joined(Counts("w", top_k), [TEXTS], limit)
        assert found.size == min(len(expected), top_k or len(expected))
        known = len(found.keys)
        assert found.top(known) == expected[:known]
        if found.size <= limit:
            assert known == found.size
        else:
            assert known < 4 * 250 + 4 * limit
        assert (found.rows, found.distinct) == (len(TEXTS), len(expected))


def test_an_answer_that_is_elsewhere_is_not_listed() -> None:
    found = joined(Counts("w"), [TEXTS], 10)
    assert len(found.keys) < found.size
    with pytest.raises(RecipeError, match=r"categories are too many here; give a smaller top_k"):
        found.top()


def test_a_part_that_holds_keys_back_ends_what_is_known() -> None:
    """One reducer has all frequent keys: a bad hash."""
    stat = Counts("w", top_k=150)
    often = stat.select(stat.update(stat.zero(), [pa.array(list(range(400)) * 3)]))
    seldom = stat.select(stat.update(stat.zero(), [pa.array(range(1000, 1100))]))
    found = stat.join([sent(often, 150, 10**6, 8), sent(seldom, 150, 10**6, 8)])
    assert found.size == 150 and found.top(137) == [(key, 3) for key in range(137)]
    assert len(found.keys) == 2 * 150 // 8 + 100


@pytest.mark.parametrize("stat", [Counts("w"), LabelSums("w", "y", "f", 3)], ids=["counts", "sums"])
def test_states_are_tables_and_back(stat: Any) -> None:
    arrays = [TEXTS, pa.array(RNG.random(len(TEXTS))), pa.array(WORDS % 7)][: len(stat.columns)]
    state = stat.update(stat.zero(), arrays)
    for one in (state, stat.zero()):
        table = stat.table(one)
        assert stat.table(stat.state(table)).equals(table)
    whole = stat.select(stat.merge(state, stat.zero()))
    parts = [stat.select(stat.state(stat.table(piece))) for piece in stat.split(state, 5)]
    found = stat.join(parts)
    assert found.keys.equals(whole.keys) and np.array_equal(found.counts, whole.counts)
