"""Fitting the vocabulary of TF-IDF against pyspark.ml and scikit-learn.

The 1000 terms that are in the most of a million texts of 20 words, which follow Zipf's law over
100,000 words, in one Delta table; every side reads it. pyspark.ml: RegexTokenizer, CountVectorizer,
IDF. scikit-learn: TfidfVectorizer, whose vocabulary is by occurrences, in one process.

    python benchmarks/bench_text.py [--rows 1000000] [--runs 3]
                                    [--only sparkmine pyspark.ml scikit-learn]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import bench_session, commit, median_seconds, sizes, table

import sparkmine as sm
from sparkmine import ops

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

WORDS, LENGTH, TOP = 100_000, 20, 1000


def rows(count: int, seed: int = 1) -> Iterator[pa.Table]:
    """Texts with commas and capitals; word number k has a chance of about 1/k."""
    rng = np.random.default_rng(seed)
    words = np.array([f"{'bcdfghklmnprstvw'[n % 16]}a{n:x}" for n in range(WORDS)])
    for size in sizes(count):
        drawn = words[(WORDS ** rng.random((size, LENGTH))).astype(np.int64) - 1]
        texts = [f"{row[0].title()} {', '.join(row[1:10])} {' '.join(row[10:])}." for row in drawn]
        yield pa.table({"text": texts})


def sparkmine(spark: SparkSession, snapshot: Snapshot) -> Any:
    return sm.Recipe(ops.TfIdf(top_k=TOP)).fit(snapshot, spark)


def spark_ml(snapshot: Snapshot, spark: SparkSession) -> Any:
    """Words are runs of letters and digits here; CountVectorizer caches them by itself."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import IDF, CountVectorizer, RegexTokenizer

    stages = [
        RegexTokenizer(inputCol="text", outputCol="words", pattern=r"[^\p{L}\p{N}_']+"),
        CountVectorizer(inputCol="words", outputCol="counts", vocabSize=TOP, minDF=2),
        IDF(inputCol="counts", outputCol="weights"),
    ]
    return Pipeline(stages=stages).fit(snapshot.dataframe(spark))


def scikit_learn(snapshot: Snapshot) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [t for f in snapshot.files for t in pq.read_table(f.path).column("text").to_pylist()]
    return TfidfVectorizer(max_features=TOP, min_df=2, token_pattern=r"\w+").fit(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    names = ["sparkmine", "pyspark.ml", "scikit-learn"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    spark = bench_session()
    snapshot = table(spark, f"text_{options.rows}", lambda: rows(options.rows))
    sides: dict[str, Callable[[], Any]] = {
        "sparkmine": lambda: sparkmine(spark, snapshot),
        "pyspark.ml": lambda: spark_ml(snapshot, spark),
        "scikit-learn": lambda: scikit_learn(snapshot),
    }
    print(f"TF-IDF fit, {options.rows:,} texts of {LENGTH} words, commit {commit()}", flush=True)
    for name in options.only:
        print(f"{name:14}{median_seconds(sides[name], options.runs):8.1f} s", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
