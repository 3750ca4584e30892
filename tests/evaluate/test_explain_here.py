"""What models and explanations give in this process, against what Spark gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sparkmine.evaluate.explain import (
    Beside,
    PartialDependence,
    PermutationImportance,
    Probe,
    Reasons,
    copies,
)
from sparkmine.expr import col, when
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.combined import CombinedModel
from sparkmine.mine.ensemble import Averaging
from sparkmine.mine.expression_model import ExpressionModel, where_known
from sparkmine.mine.supervised.calibration import Calibrated
from sparkmine.mine.supervised.costs import Costs, Decided
from sparkmine.mine.supervised.trees_model import TreesModel
from sparkmine.model import Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

A, B = col("a").cast("double"), col("b").cast("double")
LINEAR = ExpressionModel(expression=where_known([A, B], 0.5 + (A - B) / 20))
STEP = ExpressionModel(expression=where_known([A], when(A > 0, 0.8).otherwise(0.3)))
CLASSES = ClassModel(
    expressions=tuple(
        where_known([A, B], value)
        for value in (0.5 + A / 100, 0.5 - A / 100 - B / 90, B / 90 + 0 * A)
    )
)
# a <= 0 ? 0.1 : (b <= 0 ? 0.6 : 0.9)
TREES = TreesModel(
    kind="binary",
    columns=(("a", 1), ("b", 1)),
    left=np.array([1, -1, 3, -1, -1], np.int32),
    right=np.array([2, -1, 4, -1, -1], np.int32),
    feature=np.array([0, 0, 1, 0, 0], np.int32),
    threshold=np.array([0.0, 0, 0, 0, 0]),
    value=np.array([[0.0], [0.1], [0.0], [0.6], [0.9]]),
    roots=np.array([0], np.int32),
    weights=np.array([1.0]),
)
MIXED = CombinedModel(
    combiner=Averaging(("line", "trees")).model(), members={"line": LINEAR, "trees": TREES}
)
CURVE = col("prediction").interpolate([0.2, 0.5, 0.8], [0.0, 0.6, 1.0])
MODELS = {
    "expression": LINEAR,
    "classes": CLASSES,
    "trees": TREES,
    "combined": MIXED,
    "combined classes": CombinedModel(
        combiner=Averaging(("one", "two")).model(classes=3),
        members={"one": CLASSES, "two": CLASSES},
    ),
    "calibrated": Calibrated(model=MIXED, curve=CURVE),
    "decided": Decided(
        model=STEP,
        threshold=0.5,
        costs=Costs(false_positive=1, false_negative=2),
        details={},
    ),
}


@pytest.fixture(scope="module")
def df(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(12)
    table = pd.DataFrame(random.normal(size=(90, 3)), columns=["a", "b", "c"])
    table["id"] = np.arange(90)
    table["yes"] = (table.a - table.b > random.normal(size=90)).astype(int)
    return spark.createDataFrame(table).repartition(2).cache()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_scores_here_as_by_spark(df: DataFrame, name: str) -> None:
    model = MODELS[name]
    gaps = df.selectExpr(
        "id", "case id when 3 then null when 4 then double('nan') else a end as a", "b"
    ).limit(12)
    by_spark = model.transform(gaps).toArrow().sort_by("id")
    here = model.transform_arrow(gaps.toArrow().sort_by("id"))
    assert here is not None and set(here.column_names) == set(by_spark.column_names)
    here = here.select(by_spark.column_names)
    assert here.schema.types == by_spark.schema.types
    for one, other in zip(here.columns, by_spark.columns, strict=True):
        assert one.is_null().to_pylist() == other.is_null().to_pylist()
        known = (one.drop_null().to_pylist(), other.drop_null().to_pylist())
        for mine, theirs in zip(*known, strict=True):
            assert mine == pytest.approx(theirs, rel=1e-12, nan_ok=True)


class OnlySpark(Model):
    """The same scores from a model that takes Spark."""

    def transform(self, df: DataFrame) -> DataFrame:
        return MIXED.transform(df)

    def _write(self, folder: object) -> None:
        raise NotImplementedError

    @classmethod
    def _read(cls, folder: object) -> OnlySpark:
        raise NotImplementedError


def test_what_is_found_here_is_what_spark_finds(
    df: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = df.selectExpr("id", "a * 100 + 7 as was").where("id <> 5")
    beside = Beside(table=values, keys=("id",), columns={"a": "was"})
    found = []
    for model in (MIXED, OnlySpark()):
        probe = Probe.of(
            model, df, ["a", "b", "c"], label="yes", keys=["id"], shown=beside, rows=60
        )
        importances = PermutationImportance(repeats=2, samples=20)(probe)
        curves = PartialDependence(grid=4)(probe, ["a", "c"])
        found.append((probe, importances, curves))
    (here, ours, mine), (spark, theirs, others) = found
    assert here.table.equals(spark.table)
    assert here.outputs == pytest.approx(spark.outputs, rel=1e-12)
    known = dict(zip(df.toPandas().id, df.toPandas().a * 100 + 7, strict=True))
    rows = dict(zip(df.toPandas().a, df.toPandas().id, strict=True))
    for a, was in zip(here.table.column("a").to_pylist(), here.shown["a"].to_pylist(), strict=True):
        assert was == (None if rows[a] == 5 else pytest.approx(known[rows[a]]))
    assert [one.feature for one in ours.features] == [one.feature for one in theirs.features]
    for one, other in zip(ours.features, theirs.features, strict=True):
        assert one.repeats == pytest.approx(other.repeats, abs=1e-12)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
    for curve, again in zip(mine, others, strict=True):
        for point, twin in zip(curve.points, again.points, strict=True):
            assert point.mean == pytest.approx(twin.mean, rel=1e-12)
            assert point.low == pytest.approx(twin.low, rel=1e-12) and point.text == twin.text
    reasons = Reasons(background=3).fit(here)
    assert reasons.most_here > 90 and Reasons(background=3).fit(spark).most_here == 0
    wanted = df.selectExpr("id", "if(id = 8, null, a) as a", "b", "c")
    joined, shown = beside.joined(wanted)
    expected = reasons.transform(joined, ["id"], shown).toArrow().sort_by("id")
    few = wanted.toArrow().sort_by("id")
    explained = reasons.transform_arrow(few, ["id"], beside.of(few))
    assert explained.column_names == expected.column_names
    for name in ("id", "expected", "reasons", "prediction"):
        pairs = zip(explained[name].to_pylist(), expected[name].to_pylist(), strict=True)
        assert all(one == other or one == pytest.approx(other, rel=1e-12) for one, other in pairs)
    for one, other in zip(
        explained["contributions"].to_pylist(), expected["contributions"].to_pylist(), strict=True
    ):
        assert (one is None) == (other is None)
        assert one is None or dict(one) == pytest.approx(dict(other), abs=1e-12)
    # Many copies go to Spark, whatever the model.
    monkeypatch.setattr(copies, "HERE", 100)
    monkeypatch.setattr(copies, "_scored_here", None)
    many = PartialDependence(grid=4)(here, ["a"])
    assert many[0].points[0].mean == pytest.approx(mine[0].points[0].mean, rel=1e-12)
