"""A fitted recipe is brought up to date by scanning what was appended, and equals a new fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import RecipeError
from sparkmine.recipe import FittedRecipe, Recipe, operators
from sparkmine.recipe.selectors import select, starts_with

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake, Snapshot, Table

NUMBERS = select("x", "z")


def rows(count: int, seed: int, word: str = "often") -> pa.Table:
    rng = np.random.default_rng(seed)
    words = [word if i % 3 else None for i in range(count)]
    return pa.table(
        {
            "id": np.arange(count) + 1000 * seed,
            "x": pa.array(rng.normal(seed, 2.0, count), mask=rng.random(count) < 0.1),
            "z": rng.lognormal(0.0, 1.0, count),
            "word": pa.array(words, pa.string()),
            "code": rng.integers(0, 40, count),
            **{f"p{j}": rng.normal(size=count) for j in range(3)},
            "y": rng.integers(0, 2, count),
        }
    )


def recipe(*more: Any) -> Recipe:
    return Recipe(
        operators.ImputeMean(columns=NUMBERS),
        operators.Standardize(columns=NUMBERS),
        operators.BucketizeQuantile(columns=NUMBERS, buckets=4, output="{}_bucket"),
        operators.OneHot(columns=select("word")),
        operators.OrdinalIndex(columns=select("code"), min_count=8),
        operators.PCA(columns=starts_with("p"), k=2),
        operators.SelectKBest(columns=NUMBERS, k=1, score="f"),
        *more,
        keys=["id"],
        label="y",
    )


def updatable() -> Recipe:
    """Without the F test of standardised columns, whose grouped moments are not derived."""
    whole = recipe()
    return Recipe(*whole.operators[:-1], keys=["id"], label="y")


@pytest.fixture
def table(spark: SparkSession, lake: Lake) -> Table:
    table = lake.table("rows")
    table.write(spark.createDataFrame(rows(300, 1)))
    return table


def append(spark: SparkSession, table: Table, more: pa.Table) -> Snapshot:
    table.write(spark.createDataFrame(more), mode="append")
    return table.snapshot()


def close(a: Any, b: Any) -> bool:
    if isinstance(a, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def test_an_update_scans_what_was_appended_and_equals_a_new_fit(
    spark: SparkSession, table: Table, tmp_path: Path
) -> None:
    first = updatable().fit(table.snapshot())
    first.save(tmp_path / "recipe")
    old = {file.path for file in table.snapshot().files}
    snapshot = append(spark, table, rows(200, 2, "seldom"))
    anew = updatable().fit(snapshot)
    for path in old:  # nothing of it is read again
        Path(path).rename(f"{path}.away")
    updated = FittedRecipe.load(tmp_path / "recipe").update(snapshot)
    for path in old:
        Path(f"{path}.away").rename(path)
    assert updated.scans == 1
    sample = rows(50, 3)
    found, expected = updated.transform_arrow(sample), anew.transform_arrow(sample)
    assert found.schema.names == expected.schema.names
    for name in found.schema.names:
        if name != "code":  # its numbers stay as they were
            left, right = found.column(name).to_pylist(), expected.column(name).to_pylist()
            assert close(left, right), name
    assert "word_is_seldom" in found.schema.names
    # An update of an update.
    again = updated.update(append(spark, table, rows(50, 4)))
    mean = np.concatenate([rows(n, s)["z"] for n, s in ((300, 1), (200, 2), (50, 4))]).mean()
    sample_z = rows(50, 3)["z"].to_numpy()
    scaled = again.transform_arrow(sample)["z"].to_numpy()
    assert math.isclose(np.interp(0.0, np.sort(scaled), np.sort(sample_z)), mean, rel_tol=1e-6)


def test_indexes_stay_and_rare_categories_rise(spark: SparkSession, table: Table) -> None:
    def numbers(fitted: FittedRecipe) -> dict[int, int]:
        codes = pa.array(range(40), pa.int64())
        sample = rows(40, 5).set_column(4, "code", codes)
        return dict(enumerate(fitted.transform_arrow(sample).column("code").to_pylist()))

    fitted = updatable().fit(table.snapshot())
    before = numbers(fitted)
    rare = [code for code, number in before.items() if number == 1]
    more = rows(60, 6)
    codes = pa.array([rare[0]] * 60, pa.int64())
    after = numbers(fitted.update(append(spark, table, more.set_column(4, "code", codes))))
    assert after[rare[0]] == max(before.values()) + 1
    assert {c: n for c, n in after.items() if n != 1 and c != rare[0]} == {
        c: n for c, n in before.items() if n != 1
    }


def test_what_cannot_be_updated_is_named(spark: SparkSession, table: Table) -> None:
    fitted = recipe(operators.Clip(columns=select("z_bucket")), operators.MinMaxScale()).fit(
        table.snapshot()
    )
    snapshot = append(spark, table, rows(100, 2))
    with pytest.raises(RecipeError, match=r"operator 7 \(SelectKBest\): what they ask"):
        fitted.update(snapshot)
    wide = Recipe(operators.PCA(columns=starts_with("p"), k=1, method="randomized"), keys=["id"])
    with pytest.raises(RecipeError, match=r"operator 1 \(PCA\): .*fit the recipe again"):
        wide.fit(table.snapshot(version=0)).update(snapshot)
    frame = spark.createDataFrame(rows(30, 1))
    with pytest.raises(RecipeError, match="fitted on a DataFrame"):
        updatable().fit(frame).update(snapshot)
    part = updatable().fit(snapshot.where("y = 1"))
    with pytest.raises(RecipeError, match="another part"):
        part.update(snapshot)
    whole = updatable().fit(snapshot)
    spark.sql(f"delete from delta.`{table.path}` where code = 3")
    with pytest.raises(RecipeError, match=r"deleted or rewritten since version 1 .*fit it again"):
        whole.update(table.snapshot())
    spark.sql(
        f"alter table delta.`{table.path}` set tblproperties ('delta.enableDeletionVectors' = true)"
    )
    unreadable = updatable().fit(table.snapshot())
    with pytest.raises(RecipeError, match=r"by itself, as the table uses deletion.*fit the recipe"):
        unreadable.update(append(spark, table, rows(10, 3)))
