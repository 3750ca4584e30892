"""Calibration and thresholds against scikit-learn and sums over all thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import col, when
from sparkmine.mine import Averaging, Calibration, Costs, ExpressionModel, RandomForest
from sparkmine.mine.combined import CombinedModel
from sparkmine.mine.supervised.held_out import held_out
from sparkmine.model import Model

ROWS = 900


@pytest.fixture(scope="module", autouse=True)
def five_ranges(spark: SparkSession) -> Iterator[None]:
    """Small data too is worked on in five ranges of scores, some of them without rows."""
    settings = {
        "spark.sql.shuffle.partitions": "5",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
    }
    before = {name: spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Scores that are too sure of themselves, with ties, and labels."""
    random = np.random.default_rng(4)
    truth = random.normal(size=ROWS)
    labels = (random.random(ROWS) < 1 / (1 + np.exp(-truth))).astype(int)
    score = np.round(1 / (1 + np.exp(-3 * truth - 1)), 2)
    return pd.DataFrame({"id": np.arange(ROWS), "s": score, "y": labels})


@pytest.fixture(scope="module")
def df(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(table).repartition(3).cache()


MODEL = ExpressionModel(expression=col("s").cast("double"))


def predicted(model: Model, df: DataFrame) -> np.ndarray:
    return model.transform(df).orderBy("id").toPandas()["prediction"].to_numpy()


def test_ranges(df: DataFrame, table: pd.DataFrame) -> None:
    with held_out(MODEL, df, "y") as scores:
        found = scores.by_score(
            lambda points: pa.table({"low": points["score"][:1], "rows": [len(points)]}),
            "low double, rows bigint",
        )
    assert found.num_rows > 3
    assert sum(found["rows"].to_pylist()) == table["s"].nunique()


def test_isotonic(df: DataFrame, table: pd.DataFrame, tmp_path: Path) -> None:
    model = Calibration(method="isotonic").fit(MODEL, df, "y")
    scikit = IsotonicRegression(out_of_bounds="clip").fit(table["s"], table["y"])
    found = predicted(model, df)
    np.testing.assert_allclose(found, scikit.predict(table["s"]), rtol=1e-12)
    assert model.details["points"] < 60
    xs, ys = np.array(model.details["curve"]).T
    np.testing.assert_allclose(ys, scikit.predict(xs), rtol=1e-12)
    assert (xs[0], xs[-1]) == (table["s"].min(), table["s"].max())

    model.save(tmp_path / "model")
    new = df.withColumn("s", df["id"] / ROWS)
    loaded = predicted(Model.load(tmp_path / "model"), new)
    np.testing.assert_allclose(loaded, scikit.predict(np.sort(table["id"]) / ROWS), rtol=1e-12)


def test_sigmoid(df: DataFrame, table: pd.DataFrame) -> None:
    model = Calibration(method="sigmoid").fit(MODEL, df, "y")
    assert isinstance(model, ExpressionModel)
    scikit = _SigmoidCalibration().fit(table["s"].to_numpy(), table["y"].to_numpy())
    np.testing.assert_allclose(
        predicted(model, df), scikit.predict(table["s"].to_numpy()), rtol=1e-4
    )


def test_a_separating_score_stays_inside(spark: SparkSession) -> None:
    """Platt's targets: of 3 and 4 rows, 4/5 and 1/6 are what the likelihood wants."""
    rows = [(n, float(n > 3), int(n > 3)) for n in range(7)]
    df = spark.createDataFrame(rows, "id long, s double, y int")
    found = predicted(Calibration(method="sigmoid").fit(MODEL, df, "y"), df)
    np.testing.assert_allclose(found, [1 / 6] * 4 + [4 / 5] * 3, rtol=1e-6)


def test_ensembles_and_forests(df: DataFrame, table: pd.DataFrame, tmp_path: Path) -> None:
    forest = RandomForest(trees=3, max_depth=3).fit(df.where("id % 2 = 0"), ["s"], "y")
    ensemble = CombinedModel(
        combiner=Averaging(("a", "b")).model(), members={"a": MODEL, "b": forest}
    )
    calibrated = Calibration().fit(ensemble, df.where("id % 2 = 1"), "y")
    decided = Costs(false_positive=1, false_negative=3).choose(
        calibrated, df.where("id % 2 = 1"), "y"
    )
    decided.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    raw = predicted(ensemble, df)
    odd = table["id"] % 2 == 1
    scikit = IsotonicRegression(out_of_bounds="clip").fit(raw[odd], table["y"][odd])
    scored = loaded.transform(df).orderBy("id").toPandas()
    np.testing.assert_allclose(scored["prediction"], scikit.predict(raw), rtol=1e-12)
    np.testing.assert_array_equal(scored["decision"], scored["prediction"] >= decided.threshold)


def every_threshold(table: pd.DataFrame, costs: Costs) -> dict[float, float]:
    """The summed cost of each score as threshold, and of one above all."""
    label, found = table["y"].to_numpy(), {}
    for threshold in [*np.unique(table["s"]), np.inf]:
        taken = table["s"].to_numpy() >= threshold
        found[float(threshold)] = float(
            costs.false_positive * (taken & (label == 0)).sum()
            + costs.false_negative * (~taken & (label == 1)).sum()
            + costs.true_positive * (taken & (label == 1)).sum()
            + costs.true_negative * (~taken & (label == 0)).sum()
        )
    return found


@pytest.mark.parametrize(
    "costs",
    [
        Costs(false_positive=1, false_negative=5),
        Costs(false_positive=4, false_negative=1, true_positive=-2),
        Costs(false_positive=1000, false_negative=1),
    ],
)
def test_least_cost(df: DataFrame, table: pd.DataFrame, costs: Costs) -> None:
    model = costs.choose(MODEL, df, "y")
    every = every_threshold(table, costs)
    least = min(every.values())
    wanted = min(threshold for threshold, cost in every.items() if cost == least)
    assert model.details["expected_cost"] == pytest.approx(least / ROWS, rel=1e-12)
    if np.isinf(wanted):
        assert table["s"].max() < model.threshold < table["s"].max() + 1e-9
    else:
        assert model.threshold == wanted
    taken = table.assign(s=(table["s"] >= 0.5).astype(float))
    assert model.details["expected_cost_at_half"] == pytest.approx(
        every_threshold(taken, costs)[1.0] / ROWS
    )


def test_rows_without_a_score(spark: SparkSession) -> None:
    rows = [(1, 0.2, 0), (2, 0.6, 1), (3, 0.9, 1), (4, None, 1), (5, float("nan"), 0)]
    df = spark.createDataFrame(rows, "id int, s double, y int")
    model = ExpressionModel(
        expression=when(col("s") < 2.0, col("s")).otherwise(None), output="prediction"
    )
    decided = Costs(false_positive=1, false_negative=1).choose(
        Calibration().fit(model, df, "y"), df, "y"
    )
    scored = decided.transform(df).orderBy("id").collect()
    assert [row["prediction"] for row in scored] == [0.0, 1.0, 1.0, None, None]
    assert [row["decision"] for row in scored] == [0, 1, 1, None, None]
    assert decided.details["rows"] == 3


def test_errors(spark: SparkSession, df: DataFrame) -> None:
    calibration = Calibration()
    with pytest.raises(DataError, match="label y is 1 in all 2 rows"):
        rows = spark.createDataFrame([(0.1, 1), (0.2, 1)], "s double, y int")
        calibration.fit(MODEL, rows, "y")
    with pytest.raises(DataError, match="neither 0 nor 1 in 900 of 900"):
        calibration.fit(MODEL, df.withColumn("y", df["y"] + 2), "y")
    with pytest.raises(DataError, match="no rows"):
        calibration.fit(MODEL, df.where("id < 0"), "y")
    forest = RandomForest(task="multiclass", trees=1, max_depth=1).fit(df, ["s"], "y")
    with pytest.raises(ConfigError, match="the model predicts classes"):
        calibration.fit(forest, df, "y")
    with pytest.raises(ConfigError, match="method is 'beta'"):
        Calibration(method="beta")
    with pytest.raises(ConfigError, match="a wrong decision must cost more"):
        Costs(false_positive=1, false_negative=1, true_positive=2)
