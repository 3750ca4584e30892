"""The statistics that single operators ask for: against NumPy, for any partitioning."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats as scipy_stats

from sparkmine.errors import DataError
from sparkmine.stats import Broken, Stat
from sparkmine.stats.contingency import Contingency
from sparkmine.stats.elements import ElementCounts
from sparkmine.stats.missing import Missing, MissingState
from sparkmine.stats.power import PowerMoments
from sparkmine.stats.terms import BucketDocuments
from sparkmine.stats.tokens import Tokens

RNG = np.random.default_rng(21)
ROWS = 3000
NUMBERS = pa.array(
    np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.gamma(2, 2, ROWS) - 2), mask=RNG.random(ROWS) < 0.1
)
LABELS = pa.array(RNG.choice(["a", "b", "c"], ROWS), mask=RNG.random(ROWS) < 0.1)
LISTS = pa.array([RNG.choice(["x", "y", "z"], size).tolist() for size in RNG.integers(0, 4, ROWS)])
TEXTS = pa.array([" ".join(words) for words in LISTS.to_pylist()], mask=RNG.random(ROWS) < 0.1)


def state_of(stat: Stat, parts: int, *arrays: pa.Array) -> Any:
    """The state of rows that are shuffled into parts, of which one is empty."""
    merged = stat.zero()
    for index in np.array_split(RNG.permutation(ROWS), parts):
        rows = pa.array(index)
        found = stat.update(stat.zero(), [array.take(rows) for array in arrays])
        merged = stat.merge(merged, found)
    empty = stat.update(stat.zero(), [array.slice(0, 0) for array in arrays])
    return stat.merge(merged, empty)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_missing(parts: int) -> None:
    nan = int(np.isnan(NUMBERS.to_numpy(zero_copy_only=False)).sum())  # nulls are NaN there
    assert state_of(Missing("x"), parts, NUMBERS) == MissingState(ROWS, nan)
    assert state_of(Missing("x"), parts, TEXTS) == MissingState(ROWS, TEXTS.null_count)
    assert Missing("x").zero().share == 0.0


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_broken_conditions(parts: int) -> None:
    truth = [RNG.random(ROWS) < share for share in (0.9, 0.8, 0.5, 1.1)]
    unknown = [RNG.random(ROWS) < 0.1 for _ in truth]
    arrays = [pa.array(one, mask=mask) for one, mask in zip(truth, unknown, strict=True)]
    arrays.append(pa.nulls(ROWS))  # a condition that is null for all rows has a type of its own
    stat = Broken(("a", "b", "c", "d", "e"), ((2,), (0, 2, 4), (3,)))
    found = stat.answer(state_of(stat, parts, *arrays))
    false = [~one & ~mask for one, mask in zip(truth, unknown, strict=True)]
    assert found.rows == ROWS
    assert found.by_condition == (*(int(one.sum()) for one in false), 0)
    assert found.by_group == (int(false[2].sum()), int((false[0] & ~false[2]).sum()), 0)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_power_moments(parts: int) -> None:
    lambdas = (-3.0, 0.0, 0.5, 1.0, 2.0, 4.0)
    found = state_of(PowerMoments("x", lambdas), parts, NUMBERS)
    values = NUMBERS.to_numpy(zero_copy_only=False)
    values = values[np.isfinite(values)]
    assert found.count == len(values)
    for index, power in enumerate(lambdas):
        expected = scipy_stats.yeojohnson(values, power)
        assert math.isclose(found.mean[index], expected.mean(), rel_tol=1e-9)
        assert math.isclose(found.m2[index] / found.count, expected.var(), rel_tol=1e-9)
        likelihood = scipy_stats.yeojohnson_llf(power, values)
        assert math.isclose(found.likelihood[index], likelihood, rel_tol=1e-9)


def test_powers_that_overflow_are_no_candidates() -> None:
    stat = PowerMoments("x", (-2.0, 1.0, 5.0))
    found = stat.update(stat.zero(), [pa.array([1e200, -1e200, 1.0])])
    found = stat.merge(found, found)
    assert np.isneginf(found.likelihood).tolist() == [True, True, True]
    constant = stat.update(stat.zero(), [pa.array([0.1] * 10)])
    assert np.isneginf(constant.likelihood).all()


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_contingency(parts: int) -> None:
    edges = (-1.0, 0.0, 2.5)
    found = state_of(Contingency("x", "y", edges), parts, NUMBERS, LABELS)
    values = NUMBERS.to_numpy(zero_copy_only=False)
    for name in "abc":
        mine = values[np.array([label == name for label in LABELS.to_pylist()])]
        expected = np.bincount(np.digitize(mine[~np.isnan(mine)], edges), minlength=4)
        assert found[name].tolist() == expected.tolist()
    many = [pa.array(np.zeros(1001)), pa.array(range(1001))]
    stat = Contingency("x", "y", ())
    with pytest.raises(DataError, match="1000 classes"):
        stat.update(stat.zero(), many)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_documents_of_words(parts: int) -> None:
    found = state_of(BucketDocuments("t", Tokens(), dims=64), parts, TEXTS)
    texts = [text for text in TEXTS.to_pylist() if text is not None]
    expected = sorted(sum(word in text.split() for text in texts) for word in "xyz")
    assert found.texts == len(texts)
    assert sorted(found.documents[found.documents > 0].tolist()) == expected


def test_elements_of_lists() -> None:
    stat = ElementCounts("w")
    state = stat.update(stat.zero(), [LISTS])
    found = stat.join([stat.select(state)])
    assert dict(found.top()) == Counter(word for words in LISTS.to_pylist() for word in words)
    holed = pa.array([None, [None, "x"], [], ["x", "x"]])
    found = stat.join([stat.select(stat.update(stat.zero(), [holed.slice(1)]))])
    assert found.top() == [("x", 3)]
