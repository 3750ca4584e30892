"""Scores in tables: one scan gives scikit-learn's metrics, several bags the plain intervals."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as reference

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate import (
    driver_memory,
    evaluate_models,
    evaluate_table,
    measure_table,
    packed,
    tables,
)
from sparkmine.evaluate.metrics import Options
from sparkmine.evaluate.tasks import task_of
from sparkmine.stats import here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def scores() -> pa.Table:
    generator = np.random.default_rng(3)
    count = 4_000
    score = generator.random(count).round(3)
    labels = (generator.random(count) < score).astype(int)
    return pa.table(
        {
            "household": np.arange(count) // 5,
            "store": np.arange(count) % 5,
            "region": pa.array(np.array(["north", "south", None], object)[np.arange(count) % 3]),
            "weight": generator.integers(0, 4, count) * 1.0,
            "label": labels,
            "model": score,
            "guess": np.full(count, 0.5),
            "flat": pa.array([[0.5, 0.5]] * count, pa.list_(pa.float64())),
            "odds": pa.array(list(np.stack([1 - score, score], axis=1)), pa.list_(pa.float64())),
            "sales": score * 100 + labels,
        }
    )


@pytest.fixture(scope="module")
def frame(spark: SparkSession, scores: pa.Table) -> DataFrame:
    return spark.createDataFrame(scores).repartition(5).cache()


def test_one_scan_equals_scikit_learn(
    frame: DataFrame, scores: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(here, "BYTES", -1)  # tasks, not the driver
    found = measure_table(frame, "label", ["model", "guess"], weight="weight", by=["region"])
    assert found.column("prediction").to_pylist() == ["model"] * 3 + ["guess"] * 3
    assert found.column("region").to_pylist() == [None, "north", "south"] * 2
    table = scores.to_pandas()
    for row in found.to_pylist():
        chosen = table.region.isna() if row["region"] is None else table.region == row["region"]
        some = table[chosen]
        labels, predicted = some.label, some[row["prediction"]]
        sample = {"sample_weight": some.weight}
        expected = {
            "weight": some.weight.sum(),
            "roc_auc": reference.roc_auc_score(labels, predicted, **sample),
            "pr_auc": reference.average_precision_score(labels, predicted, **sample),
            "log_loss": reference.log_loss(labels, predicted, **sample),
            "brier": reference.brier_score_loss(labels, predicted, **sample),
            "mcc": reference.matthews_corrcoef(labels, predicted >= 0.5, **sample),
            "f1": reference.f1_score(labels, predicted >= 0.5, **sample),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)


def test_classes_and_numbers_of_a_table(frame: DataFrame, scores: pa.Table) -> None:
    table = scores.to_pandas()
    found = measure_table(frame, "label", "odds", ["accuracy", "log_loss"], task="multiclass")
    (row,) = found.to_pylist()
    assert row["log_loss"] == pytest.approx(reference.log_loss(table.label, table.model), rel=1e-9)
    assert row["weight"] == len(table)
    (row,) = measure_table(frame, "sales", "model", ["r2", "mae"], task="regression").to_pylist()
    assert row["r2"] == pytest.approx(reference.r2_score(table.sales, table.model), rel=1e-9)
    assert row["weight"] == len(table)


def test_several_bags(frame: DataFrame, scores: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"baselines": ("guess",), "samples": 200, "seed": 1}
    models = {"guess": "guess", "model": "model"}
    whole = evaluate_models(
        scores["label"].to_numpy(),
        scores["household"].to_numpy(),
        {name: scores[name].to_numpy() for name in models},
        segments={"region": np.array(scores["region"].to_pylist(), object)},
        **how,
    )
    monkeypatch.setattr(tables, "BAG_PREDICTIONS", 2_700)
    found = evaluate_table(frame, "label", "household", models, segments=["region"], **how)
    assert (found.rows, found.groups, found.positives) == (
        whole.rows,
        whole.groups,
        whole.positives,
    )
    assert found.verdict.split("interval")[0] == whole.verdict.split("interval")[0]
    assert [(s.value, s.rows) for s in found.segments] == [
        (s.value, s.rows) for s in whole.segments
    ]
    for metric, interval in whole.model("model").metrics.items():
        other = found.model("model").metrics[metric]
        assert other.value == pytest.approx(interval.value, rel=1e-9)
        # Three bags of 267 groups: as wide as 800 groups' bootstrap, within its own noise.
        width, wanted = other.high - other.low, interval.high - interval.low
        assert 0.75 * wanted < width < 1.35 * wanted, metric
        assert other.low < interval.value < other.high
    assert found.model("model").confusion == whole.model("model").confusion


def test_many_distinct_scores_in_several_bags(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(5)
    count = 60_000
    score = generator.random(count)
    table = pa.table(
        {
            "household": np.arange(count) // 6,
            "region": np.array(["north", "south"])[np.arange(count) % 2],
            "label": (generator.random(count) < score).astype(int),
            "model": score,
            "other": (score + generator.normal(0, 0.3, count)).clip(0, 1),
        }
    )
    monkeypatch.setattr(tables, "BAG_PREDICTIONS", 50_000)
    monkeypatch.setattr(packed, "PIECE_BYTES", 1 << 16)
    df = spark.createDataFrame(table)
    how = {"samples": 10, "baselines": ("other",), "segments": ["region"]}
    models = {"model": "model", "other": "other"}
    found = evaluate_table(df, "label", "household", models, rows=count, **how)
    assert found.replicates is None  # or it was one bag
    data = table.to_pandas()
    for name in models:
        expected = {
            "roc_auc": reference.roc_auc_score(data.label, data[name]),
            "pr_auc": reference.average_precision_score(data.label, data[name]),
            "log_loss": reference.log_loss(data.label, data[name]),
            "brier": reference.brier_score_loss(data.label, data[name]),
        }
        values = {metric: found.model(name).metrics[metric].value for metric in expected}
        assert values == pytest.approx(expected, rel=1e-9)
    assert [one.value for one in found.segments] == ["north", "south"]
    for one in found.segments:
        some = data[data.region == one.value]
        value = reference.roc_auc_score(some.label, some.model)
        assert one.best.value == pytest.approx(value, rel=1e-9)
        assert one.best.low < value < one.best.high
        other = reference.roc_auc_score(some.label, some.other)
        assert one.difference.value == pytest.approx(value - other, rel=1e-9)
    monkeypatch.setattr(driver_memory, "free_memory", lambda: 1 << 24)
    with pytest.raises(DataError, match=r"about 1\d\d,\d{3} different predictions, and again for"):
        evaluate_table(df, "label", "household", models, rows=count, **how)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_what_a_row_costs_on_its_way_back(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(6)
    count, kind = 50_000, task_of(task)
    labels = generator.integers(0, 3 if task == "multiclass" else 2, count)
    scores = generator.random((count, 3)) if task == "multiclass" else generator.random(count)
    if task == "multiclass":
        scores /= scores.sum(axis=1, keepdims=True)
    weights = generator.random(count)
    options = Options(classes=(0, 1, 2))
    sample = kind.of(labels, scores, options).compact(weights)
    monkeypatch.setattr(packed, "PIECE_BYTES", 1 << 17)
    found = packed.Packed.of(sample)
    assert max(map(len, found.pieces)) < 1.1 * (1 << 17)
    most = {"binary": 17, "multiclass": 4 + 3 * 8 + 8.5, "regression": 0.1}[task]
    assert sum(map(len, found.pieces)) < most * count
    assert len(pickle.dumps(sample, protocol=5)) < most * count + 1_000
    for again in (packed.unpacked(kind, options, [found]), pickle.loads(pickle.dumps(sample))):
        values = sample.measure(tuple(kind.metrics))
        assert again.measure(tuple(kind.metrics)) == pytest.approx(values, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("task", "label", "models", "weight"),
    [
        ("binary", "label", ("guess", "model"), "weight"),
        ("multiclass", "label", ("flat", "odds"), None),
        ("regression", "sales", ("guess", "model"), None),
    ],
)
def test_few_groups_are_resampled_as_in_one_process(
    frame: DataFrame,
    scores: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    label: str,
    models: tuple[str, ...],
    weight: str | None,
) -> None:
    how = {"baselines": models[:1], "samples": 40, "seed": 1, "task": task}
    columns = {name: np.array(scores[name].to_pylist()) for name in models}
    whole = evaluate_models(
        scores[label].to_numpy(),
        scores["store"].to_numpy(),
        columns,
        weights=None if weight is None else scores[weight].to_numpy(),
        segments={"region": np.array(scores["region"].to_pylist(), object)},
        **how,
    )
    # In three bags or more, some of the five stores would be alone.
    monkeypatch.setattr(tables, "BAG_PREDICTIONS", 3_900)
    found = evaluate_table(
        frame,
        label,
        "store",
        {name: name for name in models},
        weight=weight,
        segments=["region"],
        **how,
    )
    assert (found.rows, found.groups, found.verdict) == (4_000, 5, whole.verdict)
    for ours, theirs in zip(found.models, whole.models, strict=True):
        for metric, interval in theirs.metrics.items():
            other = ours.metrics[metric]
            for end in ("value", "low", "high"):
                wanted = getattr(interval, end)
                assert getattr(other, end) == pytest.approx(wanted, rel=1e-9), (metric, end)
    for ours, theirs in zip(found.segments, whole.segments, strict=True):
        assert (ours.value, ours.rows) == (theirs.value, theirs.rows)
        assert ours.difference.low == pytest.approx(theirs.difference.low, rel=1e-9, abs=1e-12)


def test_few_groups_of_too_many_predictions(
    frame: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BAG_PREDICTIONS", 500)
    with pytest.raises(DataError, match=r"about 5 groups of store.* round the predictions"):
        evaluate_table(frame, "label", "store", {"model": "model"}, samples=10)


@pytest.mark.parametrize("most", [2_000, 1 << 20])
def test_names_of_classes_of_a_table(
    frame: DataFrame, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(tables, "BAG_PREDICTIONS", most)  # several bags, and one
    for names, column, says in (
        (("a", "b", "c"), "odds", "3 names .* probabilities of 2 classes"),
        (("a",), "label", "1 names .* of class 1; name all"),
    ):
        with pytest.raises(ConfigError, match=says):
            evaluate_table(
                frame, "label", "household", {"m": column}, task="multiclass", classes=names
            )


def test_bad_tables(frame: DataFrame) -> None:
    with pytest.raises(ConfigError, match="no column score"):
        measure_table(frame, "label", "score")
    with pytest.raises(DataError, match="region is null in"):
        measure_table(frame, "region", "region", task="multiclass")
    with pytest.raises(DataError, match="no rows to evaluate"):
        measure_table(frame.where("label > 5"), "label", "model")
    with pytest.raises(DataError, match="household has 800 values"):
        evaluate_table(
            frame, "label", "household", {"model": "model"}, segments=["household"], samples=10
        )
