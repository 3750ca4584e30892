"""Correlations by pairs against pandas, for any partitioning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sparkmine.stats.pairwise import Pairwise

RNG = np.random.default_rng(3)


def table(rows: int = 900, offset: float = 0.0) -> pd.DataFrame:
    """Gaps in different rows of different columns; `b` follows `a`, `flag` is a constant."""
    frame = pd.DataFrame(RNG.normal(size=(rows, 4)), columns=list("abcd"))
    frame["b"] += frame["a"]
    frame["c"] -= frame["a"] ** 2
    frame += offset
    frame.loc[::3, "b"] = np.nan
    frame.loc[1::5, "c"] = np.nan
    frame.loc[2:, "d"] = np.nan
    frame["flag"] = 0.1
    return frame


def correlation(frame: pd.DataFrame, parts: int) -> np.ndarray:
    stat = Pairwise(tuple(frame.columns))
    merged = stat.zero()
    for rows in np.array_split(RNG.permutation(len(frame)), parts):
        state = stat.zero()
        for block in np.array_split(rows, 2):
            arrays = [pa.array(frame[name].iloc[block], from_pandas=True) for name in frame]
            state = stat.update(state, arrays)
        merged = stat.merge(merged, state)
    return stat.answer(merged).correlation


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize(("offset", "close"), [(0.0, 1e-12), (1e6, 1e-9)])
def test_each_pair_over_the_rows_that_have_both(parts: int, offset: float, close: float) -> None:
    frame = table(offset=offset)
    expected = frame.corr(min_periods=2).to_numpy()
    expected[-1, :] = expected[:, -1] = np.nan  # pandas lets rounding of a constant through
    np.testing.assert_allclose(correlation(frame, parts), expected, rtol=0, atol=close)


def test_infinities_are_left_out_and_no_rows_are_defined() -> None:
    stat = Pairwise(("x", "y"))
    arrays = [pa.array([1.0, 2.0, np.inf, 4.0]), pa.array([2, 4, 1, 8])]
    found = stat.answer(stat.update(stat.zero(), arrays))
    np.testing.assert_allclose(found.correlation, [[1, 1], [1, 1]])
    assert np.isnan(stat.zero().correlation).all()
    empty = stat.update(stat.zero(), [pa.array([], pa.float64()), pa.array([], pa.int64())])
    assert np.isnan(empty.correlation).all()
