"""Target encoding against pandas, and against the leak that it must not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sparkmine.errors import RecipeError
from sparkmine.expr.murmur import murmur3
from sparkmine.recipe import Recipe, operators
from sparkmine.recipe.selectors import select

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(4)
ROWS = 400
DATA = pd.DataFrame(
    {
        "id": np.arange(ROWS),
        "who": RNG.integers(0, 40, ROWS),
        "w": RNG.choice(["a", "b", "c", None], ROWS, p=[0.5, 0.3, 0.1, 0.1]),
        "unique": [f"u{i}" for i in range(ROWS)],
        "y": RNG.integers(0, 2, ROWS),
    }
)


def table() -> pa.Table:
    return pa.Table.from_pandas(DATA, preserve_index=False)


def recipe(*more: Any, columns: tuple[str, ...] = ("w",), **options: Any) -> Recipe:
    encode = operators.TargetEncode(columns=select(*columns), smoothing=5.0, **options)
    return Recipe(encode, *more, keys=["id", "who"], label="y")


def expected(data: pd.DataFrame, categories: pd.Series, column: str = "w") -> np.ndarray:
    mean = data["y"].mean()
    groups = data.groupby(column)["y"].agg(["sum", "count"])
    encoded = (groups["sum"] + 5.0 * mean) / (groups["count"] + 5.0)
    return categories.map(encoded).fillna(mean).to_numpy()


def test_smoothed_means_equal_pandas(fit: Any) -> None:
    found = fit(recipe().operators[0], table(), label="y").transform(table())
    assert np.allclose(found.column("w").to_numpy(), expected(DATA, DATA["w"]))
    rare = fit(recipe(min_count=100).operators[0], table(), label="y").transform(table())
    known = DATA["w"].isin(["a", "b"])
    often = np.where(known, expected(DATA, DATA["w"]), DATA["y"].mean())
    assert np.allclose(rare.column("w").to_numpy(), often)


def test_values_of_training_rows_come_from_other_folds(spark: SparkSession) -> None:
    frame = spark.createDataFrame(table()).repartition(3)
    scaled = operators.Standardize(columns=select("w"), output="{}_scaled")
    fitted, encoded = recipe(scaled, columns=("w", "unique")).fit_transform(frame, fold="who")
    rows = encoded.toPandas().sort_values("id").reset_index(drop=True)
    fold = np.mod(murmur3(pa.array(DATA["who"].astype(str))).astype(np.int64), 5)
    assert len(set(fold)) == 5
    for number in range(5):
        inside, others = DATA[fold == number], DATA[fold != number]
        for column in ("w", "unique"):
            values = rows.loc[inside.index, column].to_numpy()
            assert np.allclose(values, expected(others, inside[column], column)), column
    # What follows is fitted on these values, not on those that hold a row's own label.
    assert np.allclose(rows["w_scaled"], (rows["w"] - rows["w"].mean()) / rows["w"].std(ddof=0))
    # A category of one row would give its label away by `transform`; here it says nothing.
    assert abs(np.corrcoef(rows["unique"], DATA["y"])[0, 1]) < 0.3
    plain = fitted.transform_arrow(table())
    assert np.corrcoef(plain.column("unique").to_numpy(), DATA["y"])[0, 1] > 0.99


def test_it_is_refused_where_it_would_leak(spark: SparkSession) -> None:
    with pytest.raises(RecipeError, match=r"cannot be in a pyspark\.ml Pipeline"):
        recipe().estimator()
    with pytest.raises(RecipeError, match="name it in keys or keep"):
        recipe().fit_transform(spark.createDataFrame(table()), fold="w")
    with pytest.raises(RecipeError, match=r"TargetEncode needs the recipe's label"):
        Recipe(operators.TargetEncode(columns=select("w"))).fit(spark.createDataFrame(table()))
