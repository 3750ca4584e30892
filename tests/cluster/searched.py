"""Submitted by the tests: search on executors, the same here by scikit-learn, and what differs."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from sparkmine import Lake, session
from sparkmine.expr import evaluate
from sparkmine.lake.scan import Scan
from sparkmine.mine import ScikitLearn
from sparkmine.mine.scikit.memory import share_of
from sparkmine.selection import KFold, search

DEPTHS = [1, 2, 4]


def main() -> None:
    spark = session("searched")
    random = np.random.default_rng(2)
    rows = pd.DataFrame({"id": np.arange(500), "a": random.normal(size=500)})
    rows["b"] = random.normal(size=500)
    rows["y"] = (rows["a"] * rows["b"] + random.logistic(size=500) / 3 > 0).astype(int)
    table = Lake(sys.argv[1], spark).table("rows")
    table.write(spark.createDataFrame(rows).repartition(2))
    snapshot = table.snapshot()
    tree = ScikitLearn(estimator="sklearn.tree:DecisionTreeClassifier", scratch=sys.argv[1])
    how = KFold(keys=("id",), k=3)
    found = search(
        tree, snapshot, ["a", "b"], "y", folds=how, grid={"max_depth": DEPTHS}, spark=spark
    )
    scan = Scan.of(snapshot)
    blocks = list(scan.read_many(scan.blocks()))
    here = pd.concat([block.to_pandas() for block in blocks])

    def places(condition: object) -> np.ndarray:
        parts = [np.asarray(evaluate(condition, block), bool) for block in blocks]  # type: ignore[arg-type]
        return np.flatnonzero(np.concatenate(parts))

    splits = [(places(fold.train), places(fold.test)) for fold in how.split(snapshot, "y")]
    alone = [
        cross_val_score(
            DecisionTreeClassifier(max_depth=depth, random_state=0),
            here[["a", "b"]].to_numpy(),
            here["y"].to_numpy(),
            scoring="roc_auc",
            cv=splits,
        )
        for depth in DEPTHS
    ]
    scored = found.model.transform(snapshot.dataframe(spark)).toPandas()  # type: ignore[union-attr]
    # A DataFrame goes through the scratch folder.
    copied = found.estimator.fit(snapshot.dataframe(spark), ["a", "b"], "y", spark=spark)
    said = {
        "difference": float(np.abs([t.scores for t in found.trials] - np.array(alone)).max()),
        "missing": int(scored["prediction"].isna().sum()),
        "rows": copied.details["rows"],  # type: ignore[attr-defined]
        "share": share_of(spark, 9).reason,
    }
    print("RESULT " + json.dumps(said))


if __name__ == "__main__":
    main()
