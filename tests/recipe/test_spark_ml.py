"""Recipes inside `pyspark.ml`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder

from sparkmine.errors import ModelError
from sparkmine.recipe import Recipe, operators
from sparkmine.recipe.selectors import select
from sparkmine.recipe.spark_ml import _mounted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RNG = np.random.default_rng(11)
X = RNG.normal(3.0, 2.0, (200, 3))
TABLE = pa.table(
    {
        "id": range(200),
        **{f"x{j}": X[:, j] for j in range(3)},
        "label": (X.sum(axis=1) + RNG.normal(0, 1, 200) > 9).astype(float),
    }
)


NUMBERS = ["x0", "x1", "x2"]


def recipe() -> Recipe:
    return Recipe(operators.Standardize(columns=select(*NUMBERS)), keys=["id"], label="label")


def pipeline() -> tuple[Pipeline, LogisticRegression]:
    learner = LogisticRegression(featuresCol="v", labelCol="label")
    assembler = VectorAssembler(inputCols=NUMBERS, outputCol="v")
    return Pipeline(stages=[recipe().estimator(), assembler, learner]), learner


def scaled(model: PipelineModel, frame: DataFrame) -> np.ndarray:
    rows = sorted(model.transform(frame).collect(), key=lambda row: row["id"])
    return np.array([[row[name] for name in NUMBERS] for row in rows])


def test_in_a_pipeline_saved_and_loaded(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame(TABLE)
    made, _ = pipeline()
    made.write().save(str(tmp_path / "estimator"))
    model = Pipeline.load(str(tmp_path / "estimator")).fit(frame)
    model.write().save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    assert np.allclose(scaled(loaded, frame), (X - X.mean(axis=0)) / X.std(axis=0))
    assert [stage.uid for stage in loaded.stages] == [stage.uid for stage in model.stages]
    with pytest.raises(ModelError, match="mounted"):
        _mounted("s3://bucket/model")


def test_in_a_cross_validator(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame(TABLE)
    made, learner = pipeline()
    grid = ParamGridBuilder().addGrid(learner.regParam, [0.01, 10.0]).build()
    judge = BinaryClassificationEvaluator(labelCol="label")
    found = CrossValidator(
        estimator=made, estimatorParamMaps=grid, evaluator=judge, numFolds=2, seed=1
    ).fit(frame)
    assert max(found.avgMetrics) > 0.9
    found.write().save(str(tmp_path / "validated"))
    best = CrossValidatorModel.load(str(tmp_path / "validated")).bestModel
    assert np.allclose(scaled(best, frame), scaled(found.bestModel, frame))
