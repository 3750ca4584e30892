"""Shopping households as a table in several files."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from sparkmine.expr import Expr, evaluate
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.scan import Scan
from sparkmine.selection import Fold

FEATURES = ["spend", "visits", "taste"]
ROWS = 600


@dataclass(frozen=True)
class Households:
    """The table, its rows in the order of its files, and their matrix."""

    snapshot: Snapshot
    rows: pd.DataFrame
    matrix: np.ndarray

    def mask(self, condition: Expr) -> np.ndarray:
        """Where the condition is true."""
        table = Scan.of(self.snapshot)
        parts = [
            evaluate(condition, block).fill_null(False).to_numpy(zero_copy_only=False)
            for block in table.read_many(table.blocks())
        ]
        return np.concatenate(parts).astype(bool)

    def splits(self, folds: tuple[Fold, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The folds as scikit-learn takes them: places of training and test rows."""
        return [
            (np.flatnonzero(self.mask(fold.train)), np.flatnonzero(self.mask(fold.test)))
            for fold in folds
        ]


def made() -> pd.DataFrame:
    random = np.random.default_rng(5)
    taste = random.normal(size=(ROWS, 2))
    rows = pd.DataFrame(
        {
            "id": [f"row {n}" for n in range(ROWS)],
            "household": random.integers(0, 80, ROWS),
            "week": random.permutation(np.arange(ROWS) // 10 + 1),
            "spend": random.gamma(2.0, 3.0, ROWS),
            "visits": random.integers(0, 9, ROWS),
        }
    )
    rows["day"] = [datetime.date(2025, 1, 1) + datetime.timedelta(days=int(w)) for w in rows.week]
    rows["taste"] = taste.tolist()
    score = 0.3 * (rows["spend"] - 6) + 0.4 * (rows["visits"] - 4) + taste[:, 0]
    rows["shops"] = (score + 1.5 + random.logistic(size=ROWS) > 0).astype(int)
    rows["amount"] = score + random.normal(size=ROWS)
    rows["kind"] = np.clip(np.digitize(score + random.normal(size=ROWS), [-1.5, 1.5]), 0, 2)
    return rows


@pytest.fixture(scope="session")
def households(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Households:
    table = Lake(tmp_path_factory.mktemp("selection") / "lake", spark).table("households")
    table.write(spark.createDataFrame(made()).repartition(3, "household"))
    snapshot = table.snapshot()
    scan = Scan.of(snapshot)
    rows = pd.concat([block.to_pandas() for block in scan.read_many(scan.blocks())])
    rows = rows.reset_index(drop=True)
    taste = np.array(rows["taste"].tolist())
    matrix = np.column_stack([rows["spend"], rows["visits"], taste])
    return Households(snapshot=snapshot, rows=rows, matrix=matrix)
