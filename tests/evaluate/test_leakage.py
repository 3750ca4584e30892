"""Each kind of leakage is found where it was put, and nowhere else."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import rankdata
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate import leakage
from sparkmine.evaluate.leakage import check_leakage
from sparkmine.evaluate.near_rows import Grid, _Compare, near_rows
from sparkmine.evaluate.single_features import names_rows, strongest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEATURES = ["sales", "visits", "shop"]


def rows(seed: int, count: int, first: str) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    sales = generator.gamma(2, 20, count)
    days = pd.Timestamp(first) + pd.to_timedelta(np.arange(count) % 28, unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(count) + 10_000 * seed,
            "day": days.date,
            "sales": sales,
            "visits": generator.poisson(5, count),
            "shop": generator.choice(["north", "south", "east"], count),
            "label": (sales + generator.normal(0, 20, count) > 40).astype(int),
        }
    )


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    return rows(1, 1_500, "2026-01-01")


@pytest.fixture(scope="module")
def test() -> pd.DataFrame:
    return rows(2, 500, "2026-03-01")


def check(spark: SparkSession, train, test, features=FEATURES, **how):
    frames = [spark.createDataFrame(rows).repartition(3) for rows in (train, test)]
    return {
        (found.check, found.column): found
        for found in check_leakage(*frames, features, "label", **{"keys": ["id"], **how})
    }


def test_clean_periods_have_no_findings(spark: SparkSession, train, test) -> None:
    assert check(spark, train, test, time="day", horizon_days=31) == {}


def test_shared_rows_are_counted(spark: SparkSession, train, test) -> None:
    copied = pd.concat([train, test.head(40)])
    moved = test.iloc[100:160].copy()
    moved["sales"] *= 1 + 1e-7
    found = check(spark, pd.concat([copied, moved]), test)
    assert set(found) == {("equal rows", None), ("near rows", None)}
    assert found["equal rows", None].rows == 40
    assert found["equal rows", None].share == pytest.approx(40 / 500)
    assert found["near rows", None].rows == 100
    assert check(spark, copied, test, max_shared=0.1) == {}
    assert set(check(spark, pd.concat([copied, moved]), test, near=0)) == {("equal rows", None)}


def test_a_gap_in_another_column_makes_another_row(spark: SparkSession, train, test) -> None:
    """Of two texts, (gap, north) is not (north, gap)."""
    learned, tested = train.assign(town=None), test.assign(town=test.shop, shop=None)
    some = [frame.assign(sales=1.0, visits=2) for frame in (learned, tested)]
    frames = [
        spark.createDataFrame(rows.astype({"shop": "string", "town": "string"})) for rows in some
    ]
    found = check_leakage(*frames, ["sales", "visits", "shop", "town"], "label", keys=["id"])
    assert not {one.check for one in found} & {"equal rows", "near rows"}


@pytest.mark.parametrize("columns", [2, 30])
def test_near_rows_are_those_of_brute_force(columns: int) -> None:
    generator = np.random.default_rng(columns)
    spread, tolerance = generator.uniform(0.1, 50, columns), 0.01
    known, asked = (7 + spread * generator.normal(size=(rows, columns)) for rows in (3_000, 900))
    step = generator.normal(size=(500, columns))
    step *= tolerance * generator.uniform(0.8, 1.2, (500, 1)) / np.sqrt((step**2).mean(1))[:, None]
    asked[:500] = known[generator.integers(0, 3_000, 500)] + step * known.std(axis=0)
    grid = Grid.of(known, tolerance)
    (points, other), (looking, also) = grid.points(known), grid.points(asked)
    rows, cells = grid.looked_into(looking, also)
    own = grid.cells(points, other).view(np.int64)
    near = _Compare(grid).near(own, points, cells.view(np.int64), looking[rows])
    scaler = StandardScaler().fit(known)
    tree = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(scaler.transform(known))
    distances = tree.kneighbors(scaler.transform(asked))[0][:, 0] / np.sqrt(columns)
    wanted = np.flatnonzero(distances <= tolerance)
    assert np.unique(rows[near]).tolist() == wanted.tolist()
    assert 150 < len(wanted) < 450 or columns == 2
    # No row is compared with a large part of the others.
    assert len(rows) < 4 * len(asked)


def test_near_rows_have_equal_texts_and_gaps(spark: SparkSession) -> None:
    generator = np.random.default_rng(2)
    known = pd.DataFrame(generator.normal(size=(400, 3)), columns=["a", "b", "c"])
    known["shop"] = generator.choice(["north", "south"], 400)
    known.loc[:99, "b"] = np.nan
    asked = known.head(200).copy()
    asked[["a", "c"]] += generator.normal(0, 1e-4, (200, 2))
    asked.loc[:19, "shop"] = "east"
    asked.loc[20:49, "b"] = 0.0  # a gap is no 0
    frames = []
    for frame in (known, asked):
        rows = frame.assign(pair=frame[["a", "c"]].to_numpy().tolist(), label=0.0)
        frames.append(spark.createDataFrame(rows).repartition(3))
    sample = frames[0].toArrow()
    for features in (["a", "b", "c", "shop"], ["b", "pair", "shop"]):
        assert near_rows(*frames, features, sample, 0.001) == 150
    assert near_rows(*frames, ["shop"], sample, 0.001) == 0


def test_the_future_in_the_training_rows(spark: SparkSession, train, test) -> None:
    # The last training day is January 28, the first test day March 1: 32 days.
    found = check(spark, train, test, time="day", horizon_days=33)
    late = found["future", "day"]
    assert late.rows == int((train.day > datetime.date(2026, 1, 27)).sum())
    assert "2026-03-01" in late.text
    assert ("future", "day") not in check(spark, train, test, time="day", horizon_days=32)
    weeks = [frame.assign(week=np.where(frame.id < 15_000, 9, 10)) for frame in (train, test)]
    assert ("future", "week") not in check(spark, *weeks, time="week", horizon_days=1)
    assert check(spark, *weeks, time="week", horizon_days=2)["future", "week"].rows == 1_500


def test_features_that_know_the_answer_and_ids(spark: SparkSession, train, test) -> None:
    def known(frame: pd.DataFrame) -> pd.DataFrame:
        generator = np.random.default_rng(0)
        text = np.where(frame.label == 1, "bought", "left")
        return frame.assign(
            refund=-frame.label * 10 + generator.normal(0, 0.5, len(frame)),
            status=np.where(generator.random(len(frame)) < 0.01, "bought", text),
            receipt=[f"r{i}" for i in frame.id],
            serial=frame.id * 1.0,
            scaled=(frame.id - 700) / 431,
            mix=[
                [sales, 100.0 - label]
                for sales, label in zip(frame.sales, frame.label, strict=True)
            ],
        )

    features = [*FEATURES, "refund", "status", "receipt", "serial", "scaled", "id", "mix"]
    found = check(spark, known(train), known(test), features)
    assert set(found) == {
        ("single feature", "refund"),
        ("single feature", "status"),
        ("single feature", "mix[1]"),
        ("id", "receipt"),
        ("id", "serial"),
        ("id", "scaled"),
        ("id", "id"),
    }
    assert found["single feature", "refund"].share == pytest.approx(1.0)
    assert "key" in found["id", "id"].text


def test_scaled_ids_are_told_from_measures() -> None:
    generator = np.random.default_rng(5)
    ids = {
        "all": generator.permutation(5_000),
        "some": generator.choice(10_000_000, 50_000, replace=False),
        "far from 0": 10**9 + np.arange(2_000),
        "clipped": np.clip(np.arange(5_000), 25.3, 4_998.6),  # the last one alone
        "with gaps filled": np.where(np.arange(5_000) % 200 == 0, 2_345.6, np.arange(5_000)),
    }
    measures = {
        "real": generator.normal(size=5_000),
        "cents": np.round(generator.uniform(0, 400, 1_500), 2),
        "skewed cents": np.round(generator.gamma(2, 1_000, 5_000), 2),
        "single precision": generator.random(50_000).astype(np.float32),
        "near a large number": 1e9 + generator.random(5_000) * 1e-2,
        "of all sizes": generator.normal(size=500) * 10.0 ** generator.integers(-300, 308, 500),
        "few rows": np.linspace(0, 1, 12),
    }
    for name, values in ids.items():
        scaled = StandardScaler().fit_transform(values.reshape(-1, 1).astype(float))[:, 0]
        for one in (scaled, (values + 3.3) / 7.7):
            share = names_rows(pa.chunked_array([one]))
            assert share is not None and share > leakage.DISTINCT, name
    for name, values in measures.items():
        assert len(np.unique(values)) > leakage.DISTINCT * len(values)
        assert names_rows(pa.chunked_array([values])) is None, name
        assert names_rows(pa.chunked_array([(values - values[0]) / 7])) is None, name


def test_a_number_that_is_the_answer(spark: SparkSession, train, test) -> None:
    frames = [frame.assign(label=frame.sales * 2, cents=frame.sales**3) for frame in (train, test)]
    found = check(spark, *frames, ["visits", "cents"])
    assert set(found) == {("single feature", "cents")}
    assert found["single feature", "cents"].share == pytest.approx(1.0)


def test_single_features_are_as_strong_as_trees_of_scikit_learn() -> None:
    generator = np.random.default_rng(4)
    x = generator.normal(size=4_000)
    answers = {
        "turned": generator.integers(0, 3, 4_000),
        "beyond": ((np.abs(x) > 1) ^ (generator.random(4_000) < 0.01)).astype(int),
        "parabola": x**2 + generator.normal(0, 0.05, 4_000),
        "rare": np.arange(4_000) < 4,
    }
    columns = {
        "x": x,
        "swapped": np.array([1, 0, 2])[answers["turned"]],
        "noise": generator.integers(0, 60, 4_000),
        "word": np.array(["b", "c", "a"])[answers["turned"]],
    }
    names = ["x", "swapped", "noise", "word"]
    table = pa.table({**columns, **answers, "text": np.array(["p", "q", "r"])[answers["turned"]]})
    found = {
        label: {name: strength for name, strength, _ in strongest(table, names, label)}
        for label in [*answers, "text"]
    }
    for label in ("turned", "text"):
        assert found[label]["swapped"] == found[label]["word"] == pytest.approx(1.0)
    assert found["rare"]["noise"] < 0.9
    for label in ("turned", "beyond"):
        for name in ("x", "noise"):
            shares = cross_val_predict(
                DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=20),
                columns[name].reshape(-1, 1),
                answers[label],
                method="predict_proba",
            )
            wanted = roc_auc_score(
                answers[label],
                shares if label == "turned" else shares[:, 1],
                multi_class="ovr",
                average="weighted",
            )
            # What is no signal is measured by two kinds of folds.
            assert found[label][name] == pytest.approx(wanted, abs=0.01 if wanted > 0.9 else 0.1)
    assert found["beyond"]["x"] > 0.98
    ranks = rankdata(answers["parabola"])
    tree = DecisionTreeRegressor(max_leaf_nodes=64, min_samples_leaf=20)
    explained = r2_score(ranks, cross_val_predict(tree, x.reshape(-1, 1), ranks))
    assert found["parabola"]["x"] == pytest.approx(np.sqrt(explained), abs=0.01)
    assert found["parabola"]["x"] > 0.95 > 0.2 > found["parabola"]["noise"]


def test_samples_of_few_different_rows(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leakage, "SAMPLE", 2_000)
    frame = spark.range(20_000, numPartitions=3).selectExpr("id % 4 as a", "id % 2 as b")
    found = leakage._sample(frame, ["a", "b"], 20_000)
    # Six standard deviations of a binomial count.
    assert abs(found.num_rows - 2_000) < 6 * np.sqrt(2_000)
    counts = np.bincount(found.column("a").to_numpy())
    assert np.all(np.abs(counts - 500) < 6 * np.sqrt(500))
    again = leakage._sample(frame.repartition(5), ["a", "b"], 20_000)
    assert again.sort_by("a").equals(found.sort_by("a"))


def test_near_copies_of_texts(spark: SparkSession, train, test) -> None:
    generator = np.random.default_rng(5)

    def text() -> str:
        return " ".join(f"w{i}" for i in generator.integers(0, 5_000, 30))

    said = [text() for _ in range(1_500)]
    also = [text() for _ in range(500)]
    for place in range(25):
        also[place] = said[place] + " and some more"
    also[25] = said[25].upper()
    # Like a test text that is like a training text, but not like that one.
    for place in range(10):
        also[30 + place] = also[place] + " words of the same kind"
    frames = [train.assign(said=said), test.assign(said=also)]
    found = check(spark, *frames, text="said")
    assert set(found) == {("near texts", "said")}

    def shingles(said: str) -> set[tuple[str, ...]]:
        words = said.lower().split()
        return set(zip(words, words[1:], words[2:], strict=False))

    known = [shingles(text) for text in said]
    alike = [
        max(len(own & other) / len(own | other) for other in known)
        for own in map(shingles, also[:60])
    ]
    assert found["near texts", "said"].rows == sum(share >= 0.8 for share in alike) == 26


def test_bad_input(spark: SparkSession, train, test) -> None:
    with pytest.raises(ConfigError, match="no column age"):
        check(spark, train, test, ["age"])
    with pytest.raises(ConfigError, match="no features"):
        check(spark, train, test, [])
    with pytest.raises(DataError, match="no test rows"):
        frames = [spark.createDataFrame(frame) for frame in (train, test)]
        check_leakage(frames[0], frames[1].where("id < 0"), FEATURES, "label")
    with pytest.raises(ConfigError, match="time column shop is string; it must be a date"):
        check(spark, train, test, time="shop")
    with pytest.raises(ConfigError, match="text column sales is double"):
        check(spark, train, test, text="sales")
