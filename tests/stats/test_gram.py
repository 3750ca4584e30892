"""Gram matrices and projections: against NumPy, for any kind of column and any partitioning."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import DataError
from sparkmine.stats import Gram, Stat
from sparkmine.stats import matrix as matrices
from sparkmine.stats.matrix import matrix_of
from sparkmine.stats.projection import Projection

RNG = np.random.default_rng(31)
ROWS = 2000
DATA = RNG.normal(1e6, 1.0, (ROWS, 5)) @ RNG.normal(0, 1, (5, 5))


def lists(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.array(values.tolist(), kind)


def vector(values: np.ndarray, dense: bool) -> dict[str, Any]:
    """A Spark ML vector as Arrow has it."""
    if dense:
        return {"type": 1, "size": None, "indices": None, "values": values.tolist()}
    at = np.flatnonzero(values)
    return {"type": 0, "size": len(values), "indices": at.tolist(), "values": values[at].tolist()}


def vectors(values: np.ndarray, dense: Any) -> pa.Array:
    fields = [("type", pa.int8()), ("size", pa.int32())]
    fields += [("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64()))]
    return pa.array([vector(row, dense(i)) for i, row in enumerate(values)], pa.struct(fields))


KINDS = {
    "list": lambda v: lists(v, pa.list_(pa.float64())),
    "large": lambda v: lists(v, pa.large_list(pa.float64())),
    "fixed": lambda v: lists(v, pa.list_(pa.float64(), v.shape[1])),
    "dense": lambda v: vectors(v, lambda i: True),
    "sparse": lambda v: vectors(v, lambda i: False),
    "mixed": lambda v: vectors(v, lambda i: i % 3 == 0),
}


def state_of(stat: Stat, parts: int, *arrays: pa.Array) -> Any:
    """The merged states of `parts` runs of rows, each updated twice, and of no rows."""
    state = stat.zero()
    for rows in np.array_split(np.arange(len(arrays[0])), parts):
        found = stat.zero()
        for piece in np.array_split(rows, 2):
            if len(piece):
                found = stat.update(found, [a.slice(piece[0], len(piece)) for a in arrays])
        state = stat.merge(state, pickle.loads(pickle.dumps(found)))
    return stat.merge(state, stat.update(stat.zero(), [array.slice(0, 0) for array in arrays]))


def answer(stat: Stat, parts: int, *arrays: pa.Array) -> Any:
    return stat.answer(state_of(stat, parts, *arrays))


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("kind", ["scalars", *KINDS])
def test_gram_equals_numpy(kind: str, parts: int) -> None:
    if kind == "scalars":
        arrays = [pa.array(column) for column in DATA.T]
    else:
        arrays = [KINDS[kind](DATA[:, :3]), pa.array(DATA[:, 3]), KINDS[kind](DATA[:, 4:])]
    names = tuple("abcde"[: len(arrays)])
    found = answer(Gram(names), parts, *arrays)
    assert np.allclose(found.covariance, np.cov(DATA.T, bias=True), rtol=1e-9, atol=1e-9)
    assert np.allclose(found.mean, DATA.mean(axis=0), rtol=1e-12)
    assert found.widths == ((1,) * 5 if kind == "scalars" else (3, 1, 1))
    squares = answer(Gram(names, largest=4), parts, *arrays)
    assert squares.gram.shape == (5,)
    assert np.allclose(squares.variance, DATA.var(axis=0), rtol=1e-9)
    single = answer(Gram(names, "float32"), parts, *arrays)
    size = np.sqrt(np.outer(DATA.var(axis=0), DATA.var(axis=0)))
    assert (np.abs(single.covariance - np.cov(DATA.T, bias=True)) / size).max() < 1e-5


def test_blocks_larger_than_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "_BUFFER_BYTES", 1000)
    for kind in (pa.float32(), pa.int16(), pa.float64()):
        values = np.round(RNG.normal(100, 9, (ROWS, 3)))
        found = answer(Gram(("v",)), 2, lists(values, pa.list_(kind)))
        assert np.allclose(found.covariance, np.cov(values.T, bias=True), rtol=1e-9)


def test_sorted_rows_far_from_their_first_mean() -> None:
    rows = np.cumsum(RNG.random((30000, 2)), axis=0) + 1e9
    found = answer(Gram(("a", "b")), 1, *(pa.array(column) for column in rows.T))
    assert np.allclose(found.covariance, np.cov(rows.T, bias=True), rtol=1e-9)


def test_holes_are_counted_by_rows() -> None:
    with pytest.raises(DataError, match=r"b \(2\)"):
        answer(Gram(("a", "b")), 1, pa.array([1.0, 2, 3]), pa.array([1.0, None, math.nan]))
    holed = [[1.0, 2.0], None, [math.nan, None], [math.inf, 1.0], [3.0, 4.0]]
    whole = pa.array([[1.0]] * 5)
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float32())):
        for parts in (1, 3):
            with pytest.raises(DataError, match=r"values in b \(3\); impute"):
                answer(Gram(("a", "b")), parts, whole, pa.array(holed, kind))
    states = state_of(Gram(("a", "b")), 2, pa.array([math.inf, 1.0]), pa.array([1.0, None]))
    assert states.invalid.tolist() == [1, 1]


def test_rows_of_other_lengths_are_named() -> None:
    ragged = pa.array([[1.0, 2.0]] * 3 + [[1.0]] * 3)
    for parts in (1, 2, 3):  # within a block, and between them
        with pytest.raises(DataError, match=r"'b' has 2 elements .* but 1 in another"):
            answer(Gram(("a", "b")), parts, pa.array(range(6)), ragged)
    uneven = vectors(np.ones((1, 2)), lambda i: True).to_pylist()
    uneven += vectors(np.ones((1, 3)), lambda i: False).to_pylist()
    kind = vectors(np.ones((1, 2)), lambda i: True).type
    with pytest.raises(DataError, match=r"2 elements .* but 3"):
        answer(Gram(("v",)), 1, pa.array(uneven, kind))
    with pytest.raises(DataError, match="'w' of type string"):
        answer(Gram(("w",)), 1, pa.array(["x"]))


def test_lists_are_not_copied() -> None:
    array = lists(DATA, pa.list_(pa.float64())).slice(7, 100)
    (part,) = matrix_of(["v"], [array]).parts
    assert np.shares_memory(part, array.values.to_numpy()) and np.array_equal(part, DATA[7:107])


@pytest.mark.parametrize("parts", [1, 3])
def test_projection(parts: int) -> None:
    shift, weights = DATA.mean(axis=0), RNG.normal(0, 1, (5, 2))
    arrays = [lists(DATA[:, :3], pa.list_(pa.float64())), *(pa.array(c) for c in DATA[:, 3:].T)]
    stat = Projection(names=("a", "b", "c"), shift=shift, weights=weights)
    centred = DATA - shift
    assert np.allclose(answer(stat, parts, *arrays), centred.T @ (centred @ weights), rtol=1e-9)
    same = Projection(names=("a", "b", "c"), shift=shift.copy(), weights=weights.copy())
    other = Projection(names=("a", "b", "c"), shift=shift, weights=weights + 1)
    assert stat == same and hash(stat) == hash(same) and stat != other and "array" not in repr(stat)
    assert pickle.loads(pickle.dumps(stat)) == stat
