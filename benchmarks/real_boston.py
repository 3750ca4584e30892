"""Boston housing (mlxtend, 506 rows): an MLP on 2 ranks against scikit-learn's regression tree.

Mean squared error of 5-fold cross-validation with the same folds; scaling and the MLP see the
training folds only.

    python benchmarks/real_boston.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from common import bench_session, commit, table
from mlxtend.data import boston_housing_data
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

import sparkmine as sm
from sparkmine import ops

FOLDS = 5


def houses() -> Iterator[pa.Table]:
    """13 columns `x0` to `x12`, the price `y` in thousands, and `fold`."""
    values, prices = boston_housing_data()
    columns = {f"x{number}": values[:, number] for number in range(values.shape[1])}
    folds = np.random.default_rng(0).permutation(len(prices)) % FOLDS
    yield pa.table({**columns, "y": prices, "fold": folds})


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    spark = bench_session(memory="1g", **{"spark.master": "local[2]"})
    snapshot = table(spark, "boston", houses)
    whole = snapshot.dataframe(spark).toPandas()
    features = [name for name in whole.columns if name.startswith("x")]
    names = ("mlp", "tree", "linear")
    errors: dict[str, list[float]] = {name: [] for name in names}
    recipe = sm.Recipe(ops.Standardize(columns=sm.numeric()), keys=["fold"], label="y")
    for fold in range(FOLDS):
        training = snapshot.where(f"fold != {fold}")
        fitted = recipe.fit(training)
        trained = sm.train.fit(
            sm.train.MLP(hidden=[64, 32], l2=1e-3, task="regression"),
            train=fitted.transform(training.dataframe(spark)),
            features=features,
            label="y",
            ranks=2,
            epochs=150,
            batch_size=16,
            learning_rate=0.003,
            schedule="cosine",
            spark=spark,
        )
        held = snapshot.where(f"fold = {fold}").dataframe(spark)
        scored = trained.transform(fitted.transform(held)).select("y", "prediction").toPandas()
        errors["mlp"].append(float(((scored.y - scored.prediction) ** 2).mean()))
        inside, outside = whole[whole.fold != fold], whole[whole.fold == fold]
        peers = {
            "tree": DecisionTreeRegressor(max_depth=5, min_samples_leaf=5, random_state=0),
            "linear": LinearRegression(),
        }
        for name, peer in peers.items():
            peer.fit(inside[features], inside.y)
            error = (peer.predict(outside[features]) - outside.y) ** 2
            errors[name].append(float(error.mean()))
    print(f"Boston housing, {FOLDS}-fold, mean squared error, commit {commit()}")
    for name in names:
        listed = ", ".join(f"{error:.1f}" for error in errors[name])
        print(f"  {name:7} {np.mean(errors[name]):6.2f}  ({listed})")


if __name__ == "__main__":
    main()
