"""Recipes inside `pyspark.ml`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder

from sparkmine.errors import ModelError, RecipeError
from sparkmine.recipe import Recipe, operator_from, operators
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


def test_assembled_vectors_are_the_input_of_an_estimator(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.createDataFrame(TABLE)
    parameters = {"columns": NUMBERS, "output": "v", "as_vector": True}
    assemble = operator_from("Assemble", parameters)
    joined = Recipe(*recipe().operators, assemble, keys=["id"], label="label")
    learner = LogisticRegression(featuresCol="v", labelCol="label", regParam=0.01)
    Pipeline(stages=[joined.estimator(), learner]).fit(frame).write().save(str(tmp_path / "model"))
    model = PipelineModel.load(str(tmp_path / "model"))
    peer = VectorAssembler(inputCols=NUMBERS, outputCol="v")
    reference = Pipeline(stages=[recipe().estimator(), peer, learner]).fit(frame)
    rows, expected = (m.transform(frame).orderBy("id").collect() for m in (model, reference))
    assert [row["v"] for row in rows] == [row["v"] for row in expected]
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in expected]
    noted = model.transform(frame).schema["v"].metadata["sparkmine"]
    assert noted == {"kind": "spark-vector", "cardinality": 3, "source": NUMBERS}


def test_vectors_in_arrow_are_those_of_spark(spark: SparkSession) -> None:
    table = pa.table(
        {
            "x": [1.0, None, math.nan, 2.0],
            "l": [[3.0, None], [4.0, math.inf], None, []],
        }
    )
    fitted = Recipe(operators.Assemble(as_vector=True)).fit(spark.createDataFrame(table))
    found = fitted.transform(spark.createDataFrame(table))
    first, second, none, short = (row["features"] for row in found.collect())
    assert first.toArray()[:2].tolist() == [1.0, 3.0] and math.isnan(first[2])
    assert math.isnan(second[0]) and second.toArray()[1:].tolist() == [4.0, math.inf]
    assert none is None and short == Vectors.dense([2.0])
    arrow = fitted.transform_arrow(table)
    assert arrow.column("features").is_valid().to_pylist() == [True, True, False, True]
    # `toArrow` cannot cast null vectors.
    native, arrow = (
        found.where("features is not null").toArrow(),
        arrow.filter(arrow.column("features").is_valid()),
    )
    assert native.schema.field("features").type == arrow.schema.field("features").type
    assert str(native.column("features").to_pylist()) == str(arrow.column("features").to_pylist())
    # Another recipe takes them, from Spark and from Arrow.
    whole = pa.table({"x": X[:, 0], "z": X[:, 1]})
    vectors = Recipe(operators.Assemble(as_vector=True)).fit(spark.createDataFrame(whole))
    made = vectors.transform(spark.createDataFrame(whole))
    pca = Recipe(operators.PCA(columns=select("features"), k=1)).fit(made)
    scores = pca.transform_arrow(vectors.transform_arrow(whole)).column("pca").to_pylist()
    assert np.allclose(scores, pca.transform(made).toArrow().column("pca").to_pylist())
    with pytest.raises(RecipeError, match="of kind spark-vector"):
        Recipe(operators.Assemble(columns=select("features"))).fit(made)


@pytest.mark.slow
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
