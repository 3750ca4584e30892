"""Grid search of 50 candidates on 5 folds against scikit-learn's own, on the same rows and folds.

    python benchmarks/bench_search.py [--rows 20000] [--runs 3]

Both sides read the Delta table, fit 250 boosted models of 20 trees on two cores, one thread each,
and must find the same mean scores. Limit: the fits alone, one after the other in one process on one
thread, divided by two cores; it is estimated from ten of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from common import bench_session, commit, median_seconds, sizes, table
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from sparkmine.expr import evaluate
from sparkmine.lake.scan import Scan
from sparkmine.mine import ScikitLearn
from sparkmine.selection import KFold, search

FEATURES = [f"f{number}" for number in range(20)]
GRID = {
    "learning_rate": np.geomspace(0.02, 0.5, 10).round(4).tolist(),
    "max_depth": [1, 2, 3, 4, 5],
}
FIXED = {"max_iter": 20, "early_stopping": False}


def chunks(rows: int) -> Iterator[pa.Table]:
    random = np.random.default_rng(3)
    begin = 0
    for size in sizes(rows, 25_000):
        matrix = random.normal(size=(size, len(FEATURES)))
        score = matrix[:, 0] * matrix[:, 1] + matrix[:, 2] + random.logistic(size=size)
        columns = dict(zip(FEATURES, matrix.T, strict=True))
        names = {"id": np.arange(begin, begin + size), "y": (score > 0).astype(np.int32)}
        yield pa.table({**names, **columns})
        begin += size


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=20_000)
    arguments.add_argument("--runs", type=int, default=3)
    given = arguments.parse_args()
    spark = bench_session("2g", **{"spark.master": "local[2]"})
    snapshot = table(spark, f"search_{given.rows}", lambda: chunks(given.rows))
    folds = KFold(keys=("id",), k=5)
    parts = folds.split(snapshot, "y")

    def read() -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        scan = Scan.of(snapshot)
        rows = pa.concat_tables(scan.read_many(scan.blocks()))
        matrix = np.column_stack([rows.column(name).to_numpy() for name in FEATURES])
        masks = [
            (np.asarray(evaluate(part.train, rows)), np.asarray(evaluate(part.test, rows)))
            for part in parts
        ]
        splits = [
            (np.flatnonzero(train.astype(bool)), np.flatnonzero(test.astype(bool)))
            for train, test in masks
        ]
        return matrix, rows.column("y").to_numpy(), splits

    means: dict[str, np.ndarray] = {}

    def ours() -> None:
        estimator = ScikitLearn(
            estimator="sklearn.ensemble:HistGradientBoostingClassifier", parameters=FIXED
        )
        found = search(
            estimator, snapshot, FEATURES, "y", folds=folds, grid=GRID, refit=False, spark=spark
        )
        means["ours"] = np.array([trial.mean for trial in found.trials])

    def theirs() -> None:
        matrix, labels, splits = read()
        model = HistGradientBoostingClassifier(random_state=0, **FIXED)
        found = GridSearchCV(model, GRID, scoring="roc_auc", cv=splits, n_jobs=2, refit=False).fit(
            matrix, labels
        )
        means["theirs"] = found.cv_results_["mean_test_score"]

    def limit() -> float:
        matrix, labels, splits = read()
        began = time.perf_counter()
        with threadpool_limits(limits=1):
            for place in range(10):
                train, test = splits[place % 5]
                model = HistGradientBoostingClassifier(
                    random_state=0, max_depth=1 + place % 5, learning_rate=0.1, **FIXED
                )
                model.fit(matrix[train], labels[train]).predict_proba(matrix[test])
        return (time.perf_counter() - began) / 10 * 250 / 2

    print(f"{commit()}: 50 candidates x 5 folds, {given.rows:,} rows x {len(FEATURES)} doubles")
    print(f"limit {limit():.1f} s", flush=True)
    print(f"sparkmine {median_seconds(ours, given.runs):.1f} s", flush=True)
    print(f"GridSearchCV(n_jobs=2) {median_seconds(theirs, given.runs):.1f} s")
    np.testing.assert_allclose(means["ours"], means["theirs"], rtol=1e-9)
    spark.stop()


if __name__ == "__main__":
    main()
