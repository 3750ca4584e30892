"""What is said of predictions, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sparkmine.stages.predict import _described

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_predictions_of_every_task_are_counted(spark: SparkSession) -> None:
    shares = [(0.0,), (0.04,), (0.5,), (1.0,), (None,)]
    found = _described(spark.createDataFrame(shares, "prediction double"), "binary", 0.5)
    assert (found["rows"], found["positives"]) == (5, 2)
    counts = found["histogram"]["counts"]
    assert (counts[0], counts[10], counts[19], sum(counts)) == (2, 1, 1, 4)
    assert found["histogram"]["edges"][10] == pytest.approx(0.5)

    decided = [(0.0, 0), (0.04, 1), (0.5, 1), (1.0, 1), (None, None)]
    found = _described(
        spark.createDataFrame(decided, "prediction double, decision int"), "binary", 0.5
    )
    assert (found["rows"], found["positives"]) == (5, 3)

    classes = spark.createDataFrame([(0,), (2,), (2,)], "prediction int")
    found = _described(classes, "multiclass", 0.5)
    edges = [-0.5, 0.5, 1.5, 2.5]
    assert found == {"rows": 3, "histogram": {"edges": edges, "counts": [1, 0, 2]}}

    values = spark.createDataFrame([(float(n),) for n in range(-20, 20)], "prediction double")
    found = _described(values, "regression", 0.5)
    assert (found["histogram"]["edges"][0], found["histogram"]["edges"][-1]) == (-20.0, 19.0)
    assert found["histogram"]["counts"] == [2] * 20
    same = _described(values.where("prediction = 3"), "regression", 0.5)
    assert (same["rows"], sum(same["histogram"]["counts"])) == (1, 1)
