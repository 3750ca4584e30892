"""Statistics against NumPy, for any partitioning; merge(a, b) equals the whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.expr import col, evaluate
from sparkmine.lake import Lake
from sparkmine.stats import (
    Counts,
    GroupedMoments,
    Moments,
    Request,
    Sketch,
    Stat,
    StatEngine,
    here,
    origin,
    spark_job,
)
from sparkmine.stats.missing import Missing
from sparkmine.stats.sketch import Bins

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(11)
HEAVY = np.exp(RNG.normal(0, 3, 4000)) * RNG.choice([-1, 1], 4000)


def whole(stat: Stat, *arrays: Any) -> Any:
    return stat.answer(stat.update(stat.zero(), [pa.array(a) for a in arrays]))


def in_parts(stat: Stat, parts: int, *arrays: Any) -> Any:
    states = []
    for index in np.array_split(RNG.permutation(len(arrays[0])), parts):
        states.append(stat.update(stat.zero(), [pa.array(np.asarray(a)[index]) for a in arrays]))
    merged = stat.zero()
    for state in states:
        merged = stat.merge(merged, state)
    return stat.answer(merged)


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_moments_do_not_cancel(offset: float) -> None:
    values = RNG.normal(offset, 1.0, 5000)
    for parts in (1, 2, 3, 7):
        found = in_parts(Moments("x"), parts, values)
        assert found.count == 5000
        assert math.isclose(found.mean, values.mean(), rel_tol=1e-12)
        assert math.isclose(found.variance, values.var(), rel_tol=1e-9)
        assert (found.minimum, found.maximum) == (values.min(), values.max())


def test_moments_count_what_is_no_number() -> None:
    found = whole(Moments("x"), [1.0, None, math.nan, math.inf, -math.inf, 3.0])
    assert (found.count, found.nulls, found.nans, found.infinities) == (2, 1, 1, 2)
    assert (found.mean, found.variance) == (2.0, 1.0)
    empty = whole(Moments("x"), np.array([], float))
    assert (empty.count, empty.mean, empty.variance) == (0, 0.0, 0.0)


@pytest.mark.parametrize("rows", [30, 40_000])
def test_many_columns_at_once_equal_each_alone(rows: int) -> None:
    """Short columns are worked on together, long ones alone; some are empty, -0.0 is 0.0."""
    columns = [RNG.normal(i, 1 + i, rows) for i in range(20)]
    columns[3][:] = math.nan
    columns[5][::2] = -0.0
    columns[7][: rows // 2] = math.inf
    columns[19][:] = math.nan
    halves = [[pa.array(c[: rows // 3]), pa.array(c[rows // 3 :])] for c in columns]
    for kind in (Moments, Sketch, Missing):
        stats = [kind(f"c{i}") for i in range(20)]
        states = [stat.zero() for stat in stats]
        for half in range(2):
            states = kind.update_all(stats, states, [[c[half]] for c in halves])
        for stat, state, values in zip(stats, states, columns, strict=True):
            alone = whole(stat, values)
            found = stat.settled(state)
            if isinstance(found, Bins):
                finite = np.sort(values[np.isfinite(values)])
                assert found.count == len(finite)
                assert found.missing == np.isnan(values).sum()
                assert list(found.low[:1]) == list(finite[:1])
                assert list(found.high[-1:]) == list(finite[-1:])
                for field in ("keys", "counts", "low", "high"):
                    assert np.array_equal(getattr(found, field), getattr(alone, field))
            else:
                assert vars(found) == pytest.approx(vars(alone), rel=1e-12)


def rank_error(values: np.ndarray, share: float, found: float) -> float:
    below, upto = (values < found).mean(), (values <= found).mean()
    return max(0.0, below - share, share - upto)


@pytest.mark.parametrize(
    "values",
    [
        HEAVY,
        RNG.integers(0, 5, 3000).astype(float),
        np.full(100, -2.5),
        1000.0 + RNG.random(3000) * 1e-3,  # one bin of the first pass: must be refined
        np.array([7.0]),
        np.concatenate([np.zeros(500), -np.zeros(500), RNG.normal(0, 1e-300, 200)]),
    ],
    ids=["heavy tails", "few values", "constant", "narrow", "one", "tiny"],
)
def test_quantiles_have_a_rank_error_of_half_a_percent(values: np.ndarray) -> None:
    stat: Any = Sketch("x")
    while True:
        answers = [in_parts(stat, parts, values) for parts in (1, 2, 3, 7)]
        for answer in answers[1:]:  # identical for any partitioning, bit for bit
            assert np.array_equal(answer.keys, answers[0].keys)
            assert np.array_equal(answer.counts, answers[0].counts)
            assert np.array_equal(answer.low, answers[0].low)
        finer = stat.refined(answers[0])
        if finer is None:
            break
        stat = finer
    for share in (0.0, 0.01, 0.25, 0.5, 0.9, 0.999, 1.0):
        assert rank_error(values, share, answers[0].quantile(share)) <= 0.005
    assert whole(Sketch("x"), np.array([], float)).quantile(0.5) is None


def test_grouped_moments() -> None:
    values, labels = RNG.normal(size=500), RNG.integers(0, 3, 500)
    found = in_parts(GroupedMoments("x", "y"), 3, values, labels)
    assert set(found) == {"0", "1", "2"}
    for label, state in found.items():
        part = values[labels == int(label)]
        assert state.count == len(part)
        assert math.isclose(state.variance, part.var(), rel_tol=1e-9)


def test_derived_extremes_are_values_of_the_column() -> None:
    """Bit by bit: a value on the edge of a bucket must be on the same side in every scan."""
    expr = (col("x") - 3.3) / 0.7 * 1.1 + 0.1
    found = origin(expr)
    assert found is not None
    state = whole(Sketch("x"), HEAVY)
    for change in found[1]:
        state = Sketch("x").changed(state, change)
    values = evaluate(expr, pa.table({"x": HEAVY})).to_numpy()
    assert np.isin(state.low, values).all()
    assert np.isin(state.high, values).all()


@pytest.mark.parametrize(
    ("partitions", "fan_in", "small"), [(1, 16, True), (7, 16, True), (1, 16, False), (7, 2, False)]
)
def test_engine_answers_all_in_one_scan(
    spark: SparkSession,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    partitions: int,
    fan_in: int,
    small: bool,
) -> None:
    """By the driver or by Spark, also where few tasks' states meet in a tree of several levels."""
    monkeypatch.setattr(spark_job, "FAN_IN", fan_in)
    if not small:
        monkeypatch.setattr(here, "BYTES", -1)
    values = RNG.normal(size=1000)
    words = [None if i % 10 == 0 else f"w{i % 3}" for i in range(1000)]
    table = pa.table({"x": values, "w": pa.array(words)})
    frame = spark.createDataFrame(table).repartition(partitions)
    lake.table("raw/stats").write(frame)
    snapshot = lake.table("raw/stats").snapshot().where("x > -1")
    kept = values > -1
    for source in (snapshot,) if small else (snapshot, snapshot.dataframe(spark)):
        asked = StatEngine(source, spark)
        requests = [
            Request(Moments("x"), (col("x"),)),
            Request(Moments("x"), (col("x") * 2.0,)),
            Request(Sketch("x"), (col("x"),)),
            Request(Counts("w"), (col("w"),)),
            Request(Counts("w", top_k=1), (col("w"),)),
            Request(Moments("x"), (col("x"),)),
        ]
        plain, doubled, sketch, counts, one, again = asked.run(requests)
        assert asked.scans == 1 and plain == again
        assert asked.rows_read == 1000  # every row once, before the predicate
        assert math.isclose(plain.mean, values[kept].mean(), rel_tol=1e-9)
        assert math.isclose(doubled.variance, (2 * values[kept]).var(), rel_tol=1e-9)
        assert rank_error(values[kept], 0.5, sketch.quantile(0.5)) <= 0.005
        expected = {
            w: sum(1 for i in range(1000) if kept[i] and words[i] == w) for w in ("w0", "w1", "w2")
        }
        assert dict(counts.top()) == expected
        assert one.top() == counts.top(1) and one.distinct == 3


def test_numbers_within_texts_are_not_the_texts(spark: SparkSession, lake: Lake) -> None:
    lake.table("raw/texts").write(spark.createDataFrame(pa.table({"s": ["1", "x", None, "5"]})))
    asked = StatEngine(lake.table("raw/texts").snapshot(), spark)
    request = Request(Moments("s"), (col("s").cast("double") * 2.0,))
    (found,) = asked.run([request])
    assert (found.count, found.mean) == (2, 6.0)
