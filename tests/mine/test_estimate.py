"""The estimate before mining against the numbers that mining finds, and sizes of memory."""

from __future__ import annotations

import numpy as np
import pytest

from sparkmine.mine.eclat import Baskets, frequent
from sparkmine.mine.estimate import Estimate, estimate, least_threshold
from sparkmine.mine.memory import bytes_of


def some_baskets() -> Baskets:
    """2,000 baskets of 24 items in ascending order of frequency, some of them correlated."""
    random = np.random.default_rng(5)
    likely = np.linspace(0.05, 0.5, 24)
    members = random.random((2000, 24)) < likely * random.choice([0.4, 1.5], (2000, 1))
    lengths = members.sum(axis=1)
    return Baskets.of(np.nonzero(members)[1].astype(np.int32), lengths, 24)


def mined(baskets: Baskets, threshold: int, max_length: int | None = None) -> int:
    return sum(len(counts) for _, counts in frequent(baskets, 24, threshold, max_length))


@pytest.mark.parametrize(("threshold", "max_length"), [(10, None), (40, None), (10, 3), (10, 2)])
def test_the_estimate_is_near(threshold: int, max_length: int | None) -> None:
    baskets = some_baskets()
    truth = mined(baskets, threshold, max_length)
    found = estimate(baskets, 24, threshold, max_length, paths=2000)
    assert truth > 200
    assert abs(found.itemsets - truth) < 4 * found.error + 1e-9 * truth
    assert found.error < 0.2 * truth


def test_what_is_refused() -> None:
    assert Estimate(itemsets=1e9, error=1e8).exceeds(1000)
    assert not Estimate(itemsets=1500, error=400).exceeds(1000)
    assert Estimate(itemsets=21000, error=20000).exceeds(1000)  # Markov


def test_the_threshold_that_fits_fits() -> None:
    baskets = some_baskets()
    limit = mined(baskets, 10) // 10
    fits = least_threshold(baskets, 24, 10, None, limit, 2000)
    assert mined(baskets, fits) <= limit < mined(baskets, fits // 4)


def test_nothing_to_estimate() -> None:
    baskets = Baskets.of(np.zeros(0, np.int32), np.zeros(0, np.int64), 3)
    assert estimate(baskets, 3, 1) == Estimate(itemsets=0.0, error=0.0)


def test_sizes_as_spark_writes_them() -> None:
    assert bytes_of("6g", "m") == 6 << 30
    assert bytes_of("512 MiB", "m") == 512 << 20
    assert bytes_of("512", "m") == 512 << 20
    assert bytes_of("1024kb", "") == 1 << 20
    assert bytes_of("7", "") == 7
