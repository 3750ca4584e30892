"""Rows that a model learnt from, or that the best one is chosen on, are not for measuring."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError, DataError
from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def lake(finished: Path, spark: SparkSession, tmp_path: Path) -> Lake:
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    return Lake(tmp_path / "lake", spark)


def test_test_rows_that_are_training_rows(lake: Lake, small: Callable[..., Path]) -> None:
    file = small()
    models = "models: {logistic: scores/logistic, tree: scores/tree, averaging: scores/averaging}"
    assert models in file.read_text()
    file.write_text(file.read_text().replace(models, "models: {averaging: scores/averaging}"))

    def run(*settings: str, only: str = "evaluate") -> None:
        pipeline = load_pipeline(file, settings=list(settings))
        Runner(pipeline, lake, lambda event: None).run(only=only)

    def rows(table: str, where: str) -> int:
        return lake.table(table).snapshot().dataframe(lake.spark).where(where).count()

    # Three days of the training period, found through the ensemble's members.
    seen = rows("mart/visits", "day between 16 and 18")
    assert seen > 100
    with pytest.raises(
        ConfigError, match=rf"averaging learnt from {seen} of the rows .*day > 15"
    ) as e:
        run("evaluate.where=day > 15")
    assert "train of stage logistic is day <= 18" in str(e.value)
    both = rows("mart/visits", "day > 22")
    with pytest.raises(ConfigError, match=f"takes {both} of the rows of where"):
        run("evaluate.choose_on=day > 22")
    # A condition on a column that the scores do not have is put to what the model read.
    run("majority.train=amount < 0", only="majority")
    seen = rows("features/visits", "amount < 0 and day > 20")
    with pytest.raises(ConfigError, match=f"majority learnt from {seen} of the rows"):
        run()


def test_a_choice_that_cannot_be_made(lake: Lake, small: Callable[..., Path]) -> None:
    def run(*settings: str) -> None:
        pipeline = load_pipeline(small(), settings=list(settings))
        Runner(pipeline, lake, lambda event: None).run(only="evaluate")

    with pytest.raises(DataError, match="stage evaluate: roc_auc is not defined on the rows of ch"):
        run("evaluate.choose_on=day = 19 and again = 1")
    with pytest.raises(ConfigError, match="evaluate: the name 'household' of a model is a column"):
        run("evaluate.models.household=scores/tree")
    with pytest.raises(ConfigError, match=r"evaluate: group: scores/logistic has .* 'household'\?"):
        run("evaluate.group=househol")
    with pytest.raises(ConfigError, match=r"models\.rows: mart/visits has no column 'prediction'"):
        run("evaluate.models.rows=mart/visits")


@pytest.mark.parametrize(
    ("stage", "key", "source"),
    [("features", "fit_on", "mart/visits"), ("tree", "score", "features/visits")],
)
def test_what_selects_no_rows_ends_a_stage_before_it_learns(
    lake: Lake, small: Callable[..., Path], stage: str, key: str, source: str
) -> None:
    pipeline = load_pipeline(small(), settings=[f"{stage}.{key}=day > 99"])
    table = lake.table(pipeline.stage(stage).writes)
    before = table.snapshot().version
    with pytest.raises(DataError, match=f"{stage}: no row of {source} has {key}: day > 99"):
        Runner(pipeline, lake, lambda event: None).run(only=stage)
    assert table.snapshot().version == before
