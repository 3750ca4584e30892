"""A random forest of Spark ML as arrays: reading its nodes, and scoring rows, against Spark ML.

50 trees of depth 10 on 100,000 rows of 20 doubles and a 0/1 label, then 500,000 rows scored and
their scores summed. The forest is fitted once by Spark ML with the same settings and seed on both
sides, so the scores must agree to 1e-9.

    python benchmarks/bench_forest.py [--rows 500000] [--trees 50] [--depth 10] [--runs 3]
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from common import bench_session, commit, median_seconds

import sparkmine as sm
from sparkmine.mine.supervised.nodes import nodes_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COLUMNS = 20


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, COLUMNS))
    score = values[:, :6].sum(axis=1) + values[:, 6] * values[:, 7] + rng.logistic(size=count)
    return pd.DataFrame({"x": values.tolist(), "y": (score > 0).astype(float)})


def one_by_one(node: Any) -> int:
    """Visit every node of a tree as a JVM object, and read what an inner node or a leaf holds."""
    if node.subtreeDepth() == 0:
        node.prediction()
        return 1
    split = node.split()
    split.featureIndex(), split.threshold()
    return 1 + one_by_one(node.leftChild()) + one_by_one(node.rightChild())


def summed(df: DataFrame) -> float:
    from pyspark.sql import functions as F

    return float(df.agg(F.sum("prediction")).first()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--trees", type=int, default=50)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = bench_session()
    from pyspark.ml.functions import array_to_vector
    from pyspark.ml.regression import RandomForestRegressor

    training = spark.createDataFrame(rows(100_000, 1)).cache()
    vectors = training.select(array_to_vector("x").alias("features"), "y").cache()
    how = sm.mine.RandomForest(trees=options.trees, max_depth=options.depth)
    spark_ml = RandomForestRegressor(
        labelCol="y",
        numTrees=options.trees,
        maxDepth=options.depth,
        featureSubsetStrategy="sqrt",
        seed=0,
    )
    model, theirs = how.fit(training, ["x"], "y"), spark_ml.fit(vectors)
    ours = median_seconds(lambda: how.fit(training, ["x"], "y"), options.runs, warm=0)
    peer = median_seconds(lambda: spark_ml.fit(vectors), options.runs, warm=0)
    print(f"fit: sparkmine {ours:.1f} s, pyspark.ml {peer:.1f} s", flush=True)

    trees = list(theirs._java_obj.trees())
    whole = median_seconds(lambda: nodes_of(trees, 0, spark), options.runs)
    began = time.perf_counter()
    count = sum(one_by_one(tree.rootNode()) for tree in trees)
    print(f"{count} nodes: {whole:.2f} s; one by one {time.perf_counter() - began:.2f} s")

    new = spark.createDataFrame(rows(options.rows, 2)).repartition(8).cache()
    features = new.withColumn("features", array_to_vector("x"))
    assert np.isclose(summed(model.transform(new)), summed(theirs.transform(features)), rtol=1e-9)
    ours = median_seconds(lambda: summed(model.transform(new)), options.runs)
    peer = median_seconds(lambda: summed(theirs.transform(features)), options.runs)
    print(f"{options.rows} rows scored: sparkmine {ours:.2f} s, pyspark.ml {peer:.2f} s")
    print(commit())


if __name__ == "__main__":
    main()
