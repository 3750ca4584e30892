"""Index columns from a recipe through a table into an embedding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sparkmine import Recipe, ops
from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.recipe.selectors import select
from sparkmine.train import MLP, TrainedModel
from sparkmine.train.layout import Feature


def test_a_recipe_says_what_is_an_index(
    spark: SparkSession, lake: Lake, fit_here: Callable[..., TrainedModel]
) -> None:
    # Shops whose numbers have no order: only a lookup can tell the good ones.
    rng = np.random.default_rng(0)
    shops = rng.integers(0, 12, 800)
    good = np.isin(shops, [1, 4, 5, 8, 10])
    rows = [
        (f"shop {n}", float(x), int(y))
        for n, x, y in zip(shops, rng.random(800), good, strict=True)
    ]
    frame = spark.createDataFrame(rows, "shop string, x double, y int").coalesce(1)
    fitted = Recipe(ops.OrdinalIndex(columns=select("shop")), label="y").fit(frame, spark)
    table = lake.table("features")
    table.write(fitted.transform(frame))
    trained = fit_here(
        MLP(hidden=[], embeddings={"shop": 3}),
        table.snapshot(),
        validation=table.snapshot(),
        features=["x", "shop"],
        epochs=10,
        batch_size=40,
        learning_rate=0.05,
        recipe=fitted,
    )
    assert trained.layout.columns == (Feature("x"), Feature("shop", cardinality=14))
    assert trained.metrics["val_accuracy"] == 1.0
    trained.save(f"{lake.root}/model")
    loaded = TrainedModel.load(f"{lake.root}/model")
    assert loaded.layout == trained.layout
    sample = np.array([[0.5, 3], [0.1, 13]], np.float32)
    np.testing.assert_array_equal(loaded.predict(sample), trained.predict(sample))
    # The folder holds all that rows need which no recipe has seen yet.
    assert loaded.recipe is not None
    new = spark.createDataFrame([("shop 4", 0.5), ("shop 6", 0.5)], "shop string, x double")
    scores = loaded.transform(loaded.recipe.transform(new.selectExpr("*", "0 AS y"))).toArrow()
    assert [score > 0.5 for score in scores.column("prediction").to_pylist()] == [True, False]


def test_a_recipe_that_does_not_make_the_features_is_refused(
    spark: SparkSession, fit_here: Callable[..., TrainedModel]
) -> None:
    frame = spark.createDataFrame([(0.5, 1), (0.7, 0)], "x double, y int")
    fitted = Recipe(ops.Standardize(columns=select("x")), label="y").fit(frame, spark)
    with pytest.raises(ConfigError, match="the recipe makes no column z"):
        fit_here(MLP(), frame.selectExpr("x AS z", "y"), features=["z"], recipe=fitted)
