"""The bootstrap against a plain loop over copied rows, its coverage, and what groups change."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sparkmine.errors import DataError
from sparkmine.evaluate import Interval, bootstrap, compare, measure
from sparkmine.evaluate.intervals import replicate
from sparkmine.evaluate.metrics import Options
from sparkmine.evaluate.tasks import task_of


def rows(seed: int, groups: int = 40, size: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with ties, and group ids; a group's rows are alike."""
    generator = np.random.default_rng(seed)
    ids = np.repeat(np.arange(groups), size)
    level = generator.normal(size=groups)[ids]
    labels = (level + generator.normal(size=len(ids)) > 0).astype(int)
    probabilities = (1 / (1 + np.exp(-level - generator.normal(size=len(ids))))).round(2)
    return labels, probabilities, ids


def outcomes(labels, predictions, task: str = "binary", threshold: float = 0.5):
    options = Options(threshold=threshold)
    return {name: task_of(task).of(labels, found, options) for name, found in predictions.items()}


def test_equal_to_a_loop_over_copied_rows() -> None:
    labels, probabilities, ids = rows(1)
    other = 1 - probabilities
    models = outcomes(labels, {"a": probabilities, "b": other})
    drawn = replicate(models, ids, 40, ["roc_auc", "pr_auc"], samples=20, seed=7)
    generator = np.random.default_rng(7)
    for sample in range(20):
        groups = generator.integers(40, size=40)
        taken = np.concatenate([np.flatnonzero(ids == group) for group in groups])
        for name, scores in (("a", probabilities), ("b", other)):
            assert drawn[name]["roc_auc"][sample] == pytest.approx(
                roc_auc_score(labels[taken], scores[taken]), abs=1e-9
            )
            assert drawn[name]["pr_auc"][sample] == pytest.approx(
                average_precision_score(labels[taken], scores[taken]), abs=1e-9
            )


def test_all_metrics_equal_measure_on_copied_rows() -> None:
    labels, probabilities, ids = rows(2)
    names = ["accuracy", "precision", "recall", "f1", "log_loss", "brier"]
    models = outcomes(labels, {"a": probabilities}, threshold=0.4)
    drawn = replicate(models, ids, 40, names, samples=5, seed=3)
    generator = np.random.default_rng(3)
    for sample in range(5):
        groups = generator.integers(40, size=40)
        taken = np.concatenate([np.flatnonzero(ids == group) for group in groups])
        expected = measure(labels[taken], probabilities[taken], names, threshold=0.4)
        found = {name: drawn["a"][name][sample] for name in names}
        assert found == pytest.approx(expected, abs=1e-9)


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(11)
    covered = 0
    for seed in range(200):
        level = generator.random(120)
        ids = np.repeat(np.arange(120), 4)
        labels = (generator.random(480) < level[ids]).astype(int)
        found = bootstrap(labels, np.ones(480), ids, ["accuracy"], samples=200, seed=seed)
        interval = found["accuracy"]
        assert interval.low is not None and interval.high is not None
        # All rows are predicted positive, so accuracy is the positive share: 1/2.
        covered += interval.low <= 0.5 <= interval.high
    assert 180 <= covered <= 199


def test_groups_widen_the_interval_of_dependent_rows() -> None:
    labels, probabilities, ids = rows(4, groups=30, size=30)
    grouped = width(bootstrap(labels, probabilities, ids, ["roc_auc"], seed=1)["roc_auc"])
    single = np.arange(len(ids))
    independent = width(bootstrap(labels, probabilities, single, ["roc_auc"], seed=1)["roc_auc"])
    assert grouped > 1.3 * independent


def test_paired_difference_is_narrower_than_unpaired() -> None:
    labels, probabilities, ids = rows(5)
    worse = np.clip(probabilities + np.random.default_rng(0).normal(0, 0.1, len(ids)), 0, 1)
    found = compare(labels, probabilities, worse, ids, ["roc_auc"], seed=2)["roc_auc"]
    alone = bootstrap(labels, probabilities, ids, ["roc_auc"], seed=2)["roc_auc"]
    expected = measure(labels, probabilities)["roc_auc"] - measure(labels, worse)["roc_auc"]
    assert found.value == pytest.approx(expected)
    assert width(found) < width(alone)
    same = compare(labels, probabilities, probabilities, ids, ["roc_auc"])["roc_auc"]
    assert same == Interval(value=0.0, low=0.0, high=0.0)


def test_same_seed_same_interval_in_any_row_order() -> None:
    labels, probabilities, ids = rows(6)
    names = np.array([f"household {i}" for i in ids])
    one = bootstrap(labels, probabilities, names, seed=9)
    order = np.random.default_rng(0).permutation(len(ids))
    other = bootstrap(labels[order], probabilities[order], names[order], seed=9)
    for metric, interval in one.items():
        assert interval.low == pytest.approx(other[metric].low, abs=1e-12)
        assert interval.high == pytest.approx(other[metric].high, abs=1e-12)
    assert bootstrap(labels, probabilities, names, seed=10) != one


def test_undefined_resamples() -> None:
    labels = np.array([1] + [0] * 9)
    found = bootstrap(labels, np.linspace(0, 1, 10), np.arange(10), ["roc_auc"])["roc_auc"]
    # A third of the resamples has no positive row: a value, but no interval.
    assert found == Interval(value=0.0, low=None, high=None)
    nothing = bootstrap(labels[1:], np.linspace(0, 1, 9), np.arange(9), ["roc_auc"])["roc_auc"]
    assert nothing == Interval(value=None, low=None, high=None)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ([1], "one id for each"),
        ([1, None], "sortable type"),
        ([1, 1], "at least 2 groups"),
    ],
)
def test_bad_groups(groups, says: str) -> None:
    with pytest.raises(DataError, match=says):
        bootstrap([0, 1], [0.1, 0.9], groups)


def width(interval: Interval) -> float:
    assert interval.low is not None and interval.high is not None
    return interval.high - interval.low
