"""Importance, partial dependence and the surrogate against scikit-learn and closed forms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.tree import DecisionTreeRegressor

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.explain import (
    PartialDependence,
    PermutationImportance,
    Probe,
    SurrogateTree,
    features_of,
)
from sparkmine.evaluate.explain.copies import permutation
from sparkmine.expr import col
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.recipe.columns import ColumnInfo

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 400
NAMES = ["a", "b", "c", "unread"]


def frame() -> pd.DataFrame:
    random = np.random.default_rng(5)
    table = pd.DataFrame(random.normal(size=(ROWS, 4)), columns=NAMES)
    table["id"] = np.arange(ROWS)
    table["household"] = table.id % 80
    table["y"] = 2 * table.a - table.b + random.normal(scale=0.3, size=ROWS)
    table["yes"] = (table.y > 0).astype(int)
    table["kind"] = np.where(table.a > 1, "large", np.where(table.a > 0, "middle", "small"))
    table["wave"] = [list(row) for row in random.normal(size=(ROWS, 2))]
    return table


# 2a - b + ab/2: not additive; `unread` and `c` are not in it.
SURFACE = 2 * col("a") - col("b") + col("a") * col("b") / 2
REGRESSION = ExpressionModel(expression=SURFACE)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return frame()


@pytest.fixture(scope="module")
def df(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(table).repartition(3).cache()


@pytest.fixture(scope="module")
def probe(df: DataFrame) -> Probe:
    return Probe.of(REGRESSION, df, NAMES, task="regression", label="y", keys=["id"], seed=4)


def predicted(rows: pd.DataFrame) -> np.ndarray:
    return (2 * rows.a - rows.b + rows.a * rows.b / 2).to_numpy()


def test_importance_is_scikit_learns_of_the_same_permutations(probe: Probe) -> None:
    found = PermutationImportance(metric="r2", repeats=3, samples=50)(probe)
    rows = probe.table.to_pandas()
    base = r2_score(probe.labels, predicted(rows))
    assert found.value == pytest.approx(base, rel=1e-12)
    by_name = {one.feature: one for one in found.features}
    for name in ("a", "b"):
        expected = []
        for repeat in range(3):
            order = np.random.default_rng(permutation(4, name, repeat)).permutation(len(rows))
            shuffled = rows.assign(**{name: rows[name].to_numpy()[order]})
            expected.append(base - r2_score(probe.labels, predicted(shuffled)))
        assert by_name[name].repeats == pytest.approx(expected, rel=1e-9)
        assert by_name[name].low < by_name[name].importance < by_name[name].high
    for name in ("c", "unread"):
        one = by_name[name]
        assert (one.importance, one.low, one.high, set(one.repeats)) == (0, 0, 0, {0.0})
    assert [one.feature for one in found.features[:2]] == ["a", "b"]


def test_importance_of_a_linear_model_has_its_closed_form(df: DataFrame) -> None:
    # Of independent columns, permuting x adds 2 w² var(x) to the squared error.
    linear = ExpressionModel(expression=2 * col("a") - col("b"))
    probe = Probe.of(
        linear, df, ["a", "b"], task="regression", label="y", group="household", keys=["id"]
    )
    found = PermutationImportance(metric="mse", repeats=20, samples=100)(probe)
    for one, weight in zip(found.features, (2, 1), strict=True):
        expected = 2 * weight**2 * np.var(probe.table.column(one.feature).to_numpy())
        assert one.importance == pytest.approx(expected, rel=0.05)
        assert one.low < expected < one.high
        assert one.deviation == pytest.approx(np.std(one.repeats))


def test_columns_that_belong_together_are_permuted_together(
    df: DataFrame, table: pd.DataFrame
) -> None:
    # What a adds, its twin takes away: moved together they change nothing.
    twin = df.withColumn("twin", df.a)
    model = ExpressionModel(expression=0.5 + (col("a") - col("twin") + col("b")) / 20)
    how = PermutationImportance(repeats=2, samples=20)
    alone = how(Probe.of(model, twin, ["a", "twin", "b"], label="yes", keys=["id"]))
    both = how(
        Probe.of(
            model,
            twin,
            ["a", "twin", "b"],
            label="yes",
            keys=["id"],
            groups={"pair": ["a", "twin"]},
        )
    )
    assert alone.metric == "roc_auc"
    expected = roc_auc_score(table.yes, table.b)
    assert both.value == pytest.approx(expected, rel=1e-12)
    values = {one.feature: one.importance for one in both.features}
    assert values["pair"] == pytest.approx(0, abs=1e-12)
    assert {one.feature: one.importance for one in alone.features}["a"] != 0


def test_the_sample_does_not_depend_on_partitions(df: DataFrame, probe: Probe) -> None:
    other = Probe.of(
        REGRESSION, df.repartition(7), NAMES, task="regression", label="y", keys=["id"], seed=4
    )
    assert other.table.equals(probe.table)
    few = Probe.of(
        REGRESSION, df, NAMES, task="regression", label="y", keys=["id"], seed=4, rows=50
    )
    assert few.table.equals(probe.table.slice(0, 50))


def test_partial_dependence_is_scikit_learns(probe: Probe) -> None:
    rows = probe.table.to_pandas()[NAMES]
    # scikit-learn's brute force with our grid, of an estimator that predicts what our model does.
    surface = LinearRegression().fit(rows, probe.labels)
    surface.predict = lambda matrix: predicted(pd.DataFrame(matrix, columns=NAMES))
    for one in PartialDependence(grid=8)(probe, ["b", "unread"]):
        grid = np.array([point.at for point in one.points])
        assert len(grid) == 8 and (np.diff(grid) > 0).all()
        assert set(grid) <= set(rows[one.feature])
        low, high = np.quantile(rows[one.feature], [0.05, 0.95])
        assert low - 0.1 < grid[0] and grid[-1] < high + 0.1
        place = NAMES.index(one.feature)
        expected = partial_dependence(
            surface,
            rows.to_numpy(),
            [place],
            custom_values={place: grid},
            method="brute",
            kind="both",
        )
        assert [point.mean[0] for point in one.points] == pytest.approx(
            expected["average"][0], rel=1e-9, abs=1e-12
        )
        curves = expected["individual"][0]
        moved = curves - curves.mean(axis=1, keepdims=True) + curves.mean()
        assert [point.low[0] for point in one.points] == pytest.approx(
            np.quantile(moved, 0.1, axis=0), rel=1e-9, abs=1e-9
        )
        if one.feature == "unread":
            assert one.span == pytest.approx(0, abs=1e-12)


def test_partial_dependence_of_values_and_of_what_is_shown(df: DataFrame) -> None:
    hot = df.selectExpr("*", "a * 10 + 3 as source", "kind = 'large' as is_large")
    for value in ("large", "middle"):
        noted = ColumnInfo(f"kind_is_{value}", "one-hot", 2, ("kind",)).metadata()
        hot = hot.withColumn(f"kind_is_{value}", (hot.kind == value).cast("double"))
        hot = hot.withMetadata(f"kind_is_{value}", noted)
    model = ExpressionModel(expression=col("kind_is_large") * 3 + col("kind_is_middle") + col("a"))
    probe = Probe.of(
        model,
        hot,
        ["kind_is_large", "kind_is_middle", "a", "is_large"],
        task="regression",
        keys=["id"],
        shown={"a": "source"},
    )
    assert [one.name for one in probe.features] == ["kind", "a", "is_large"]
    kind, a, flag = PartialDependence()(probe, ["kind_is_large", "a", "is_large"])
    mean = float(np.mean(probe.table.column("a").to_numpy()))
    assert {point.text: round(point.mean[0] - mean, 9) for point in kind.points} == {
        "none": 0,
        "middle": 1,
        "large": 3,
    }
    assert sum(point.share for point in kind.points) == pytest.approx(1)
    assert not kind.numeric and a.numeric and {p.text for p in flag.points} == {"True", "False"}
    # The axis has the numbers that readers know: a = (source - 3) / 10.
    steps = np.diff([point.at for point in a.points])
    assert np.diff([point.mean[0] for point in a.points]) == pytest.approx(steps / 10)
    assert all(point.low == pytest.approx(point.mean) for point in a.points)


def test_the_surrogate_is_scikit_learns_tree_on_the_predictions(probe: Probe) -> None:
    found = SurrogateTree(depth=2, held_out=0.25)(probe)
    rows, scores = probe.table.to_pandas()[NAMES], probe.outputs[:, 0]
    tree = DecisionTreeRegressor(max_depth=2, min_samples_leaf=3, random_state=0)
    tree.fit(rows[:300].to_numpy(), scores[:300])
    assert found.rows == 300 and found.held_out == 100 and found.agreement is None
    assert found.r2 == pytest.approx(r2_score(scores[300:], tree.predict(rows[300:].to_numpy())))
    root = found.rules[1]
    assert root.text == f"a ≤ {tree.tree_.threshold[0]:.4g}" and root.depth == 1
    leaves = [rule for rule in found.rules if rule.leaf]
    assert sum(rule.share for rule in leaves) == pytest.approx(1)
    assert len(leaves) == tree.get_n_leaves()


def test_decisions_agree_where_the_model_is_a_tree(df: DataFrame) -> None:
    from sparkmine.expr import when

    step = when((col("kind") == "large") & (col("b") > 0), 0.9).otherwise(0.2)
    probe = Probe.of(ExpressionModel(expression=step), df, ["kind", "b", "wave"], keys=["id"])
    found = SurrogateTree(depth=2, smallest=0.001)(probe)
    assert found.agreement == 1 and found.r2 == pytest.approx(1)
    texts = [rule.text for rule in found.rules]
    assert "kind is large" in texts and "kind is not large" in texts
    assert any(text.startswith("b > ") for text in texts)


def test_rows_without_a_score_are_left_out(df: DataFrame) -> None:
    gaps = df.selectExpr("id", "b", "y", "if(id % 4 = 0, null, a) as a")
    probe = Probe.of(REGRESSION, gaps, ["a", "b"], task="regression", label="y", keys=["id"])
    assert (len(probe), probe.left_out) == (300, 100)
    with pytest.raises(DataError, match="gives none of 400 rows a score"):
        Probe.of(REGRESSION, df.selectExpr("b", "double(null) as a"), ["a", "b"], task="regression")


def test_mistakes_end_with_a_coded_error(df: DataFrame, probe: Probe) -> None:
    with pytest.raises(ConfigError, match="no column nothing"):
        Probe.of(REGRESSION, df, ["nothing"])
    with pytest.raises(ConfigError, match="no column other"):
        Probe.of(REGRESSION, df, NAMES, label="other")
    with pytest.raises(DataError, match="no rows to explain"):
        Probe.of(REGRESSION, df.where("false"), NAMES)
    with pytest.raises(DataError, match="column house is null in 400 of 400 rows"):
        houses = df.selectExpr("*", "int(null) as house")
        Probe.of(REGRESSION, houses, NAMES, task="regression", group="house")
    with pytest.raises(ConfigError, match="must have 2 to 100000"):
        Probe.of(REGRESSION, df, NAMES, rows=1)
    with pytest.raises(DataError, match="unknown metric roc_auc; there are rmse"):
        PermutationImportance(metric="roc_auc")(probe)
    with pytest.raises(ConfigError, match="needs the label"):
        PermutationImportance()(replace(probe, labels=None))
    with pytest.raises(DataError, match="r2 is not defined"):
        PermutationImportance(metric="r2")(replace(probe, labels=np.ones(len(probe))))
    with pytest.raises(ConfigError, match="no feature zz; the features are"):
        PartialDependence()(probe, ["zz"])
    with pytest.raises(ConfigError, match="wave holds arrays"):
        waves = features_of(df.schema, ["wave"])
        PartialDependence()(replace(probe, features=waves), ["wave"])
    for groups, message in (
        ({"pair": ["a", "z"]}, "z is none of the features"),
        ({"one": ["a"], "two": ["a"]}, "in the groups one and two"),
    ):
        with pytest.raises(ConfigError, match=message):
            features_of(df.schema, NAMES, groups)
