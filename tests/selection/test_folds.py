"""What folds promise, on all rows; and the folds of scikit-learn where they are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn import model_selection

from sparkmine.errors import ConfigError, DataError
from sparkmine.expr import to_column
from sparkmine.selection import Folds, GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

RANDOM = [
    KFold(keys=("id",), k=4),
    KFold(keys=("id", "day"), k=3, seed=9),
    GroupKFold(column="household", k=4),
    StratifiedKFold(keys=("id",), k=4),
]


@pytest.mark.parametrize("how", RANDOM, ids=repr)
def test_each_row_is_tested_once_and_trained_on_otherwise(
    spark: SparkSession, households: Any, how: Folds
) -> None:
    folds = how.split(households.snapshot, "shops", spark)
    tests = np.array([households.mask(fold.test) for fold in folds])
    trains = np.array([households.mask(fold.train) for fold in folds])
    assert (tests.sum(axis=0) == 1).all()
    assert (trains == ~tests).all()
    expected = tests.shape[1] / len(folds)
    assert (abs(tests.sum(axis=1) - expected) < 5 * np.sqrt(expected)).all() or isinstance(
        how, GroupKFold
    )
    # Spark's own evaluation of the conditions gives the same rows.
    frame = households.snapshot.dataframe(spark)
    found = frame.where(to_column(folds[1].test)).select("id").toPandas()["id"]
    assert set(found) == set(households.rows["id"][tests[1]])
    assert len(found) == tests[1].sum()


def test_another_seed_gives_other_folds_and_the_same_the_same(households: Any) -> None:
    def first(seed: int) -> np.ndarray:
        fold = KFold(keys=("id",), k=3, seed=seed).split(households.snapshot, "shops")[0]
        found: np.ndarray = households.mask(fold.test)
        return found

    assert (first(1) == first(1)).all()
    # Independent thirds agree in 5 of 9 rows; five standard deviations around it.
    agreed = (first(1) == first(2)).mean()
    assert abs(agreed - 5 / 9) < 5 * np.sqrt(20 / 81 / len(households.rows))


def test_no_group_is_in_two_folds(households: Any) -> None:
    folds = GroupKFold(column="household", k=4).split(households.snapshot, "shops")
    groups = [set(households.rows["household"][households.mask(fold.test)]) for fold in folds]
    assert sum(map(len, groups)) == households.rows["household"].nunique()
    assert all(groups)


@pytest.mark.parametrize("label", ["shops", "kind"])
def test_every_fold_has_an_equal_share_of_each_class(
    spark: SparkSession, households: Any, label: str
) -> None:
    folds = StratifiedKFold(keys=("id",), k=5).split(households.snapshot, label, spark)
    for _, rows in households.rows.groupby(label):
        counts = [households.mask(fold.test)[rows.index].sum() for fold in folds]
        # One row or, where two have nearly the same hash, two off.
        assert max(abs(count - len(rows) / 5) for count in counts) <= 2
    with pytest.raises(DataError, match=r"class 1 of early has 10 rows, fewer than k=11"):
        frame = households.snapshot.dataframe(spark).selectExpr("*", "week = 1 as early")
        StratifiedKFold(keys=("id",), k=11).split(frame, "early", spark)


@pytest.mark.parametrize("gap", [0, 3])
def test_time_series_split_is_that_of_scikit_learn(
    spark: SparkSession, households: Any, gap: int
) -> None:
    """60 weeks of 10 rows each, in blocks of equally many."""
    weeks = households.rows["week"].to_numpy()
    wanted = list(model_selection.TimeSeriesSplit(n_splits=4, gap=10 * gap).split(weeks))
    order = np.sort(weeks)
    for how in (
        TimeSeriesSplit(column="week", k=4, gap=gap),
        TimeSeriesSplit(column="day", k=4, gap=gap),
    ):
        folds = how.split(households.snapshot, "shops", spark)
        for fold, (train, test) in zip(folds, wanted, strict=True):
            assert (np.sort(weeks[households.mask(fold.train)]) == order[train]).all()
            assert (np.sort(weeks[households.mask(fold.test)]) == order[test]).all()


def test_training_is_before_the_test_by_more_than_the_gap(
    spark: SparkSession, households: Any
) -> None:
    """Timestamps and doubles with any values: the blocks are equal within half a percent."""
    frame = households.snapshot.dataframe(spark).selectExpr(
        "timestamp_micros(bigint(spend * 3.6e9)) as at", "spend", "shops"
    )
    rows = frame.toPandas()
    hours = rows["spend"].to_numpy()
    for how, unit in (
        (TimeSeriesSplit(column="at", k=3, gap=900.0), 0.25),
        (TimeSeriesSplit(column="spend", k=3, gap=0.25), 0.25),
    ):
        tested = []
        for fold in how.split(frame, "shops", spark):
            train = frame.where(to_column(fold.train)).toPandas()["spend"].to_numpy()
            test = frame.where(to_column(fold.test)).toPandas()["spend"].to_numpy()
            assert len(train) and test.min() - train.max() >= unit
            assert abs(len(test) - len(hours) / 4) <= 0.005 * len(hours) + 1
            tested.append(test)
        together = np.sort(np.concatenate(tested))
        assert (together == np.sort(hours)[-len(together) :]).all()


def test_what_folds_refuse(spark: SparkSession, households: Any) -> None:
    snapshot = households.snapshot
    with pytest.raises(ConfigError, match="at least 2"):
        KFold(keys=("id",), k=1)
    with pytest.raises(ConfigError, match="keys must be a list"):
        KFold(keys="id")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no column house"):
        GroupKFold(column="house").split(snapshot, "shops")
    with pytest.raises(ConfigError, match="spend is double; folds are drawn by the hash"):
        KFold(keys=("spend",)).split(snapshot, "shops")
    with pytest.raises(ConfigError, match="id is string; it must be a number, date or time"):
        TimeSeriesSplit(column="id").split(snapshot, "shops", spark)
    with pytest.raises(DataError, match="too few different values for k=9"):
        TimeSeriesSplit(column="visits", k=9).split(snapshot, "shops", spark)
    with pytest.raises(ConfigError, match="gap is -1"):
        replace(TimeSeriesSplit(column="week"), gap=-1)
