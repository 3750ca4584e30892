"""Validation figures against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error, mean_squared_error, roc_auc_score

from sparkmine.train import metrics


def test_binary_equals_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 2000).astype(np.float32)
    scores = np.round(np.clip(labels * 0.2 + rng.random(2000), 0, 1), 2).astype(np.float32)
    found = metrics.binary(labels, scores)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, scores > 0.5), abs=1e-12)


def test_multilabel_is_binary_for_every_label() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, (500, 3)).astype(np.float32)
    scores = np.clip(labels * 0.2 + rng.random((500, 3)), 0, 1).astype(np.float32)
    found = metrics.multilabel(labels, scores, ["a", "b", "c"])
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores, average="macro"), abs=1e-12)
    assert found["accuracy"] == pytest.approx(np.mean(labels == (scores > 0.5)), abs=1e-12)
    assert found["auc_b"] == pytest.approx(roc_auc_score(labels[:, 1], scores[:, 1]), abs=1e-12)
    assert set(found) == {
        *("auc", "auc_a", "auc_b", "auc_c"),
        *("accuracy", "accuracy_a", "accuracy_b", "accuracy_c"),
    }
    labels[:, 1] = 1
    found = metrics.multilabel(labels, scores, ["a", "b", "c"])
    assert found["auc_b"] is None
    assert found["auc"] == pytest.approx(roc_auc_score(labels[:, ::2], scores[:, ::2]), abs=1e-12)


def test_area_is_absent_with_one_class() -> None:
    ones = np.ones(3, np.float32)
    assert metrics.binary(ones, ones)["auc"] is None


def test_regression_equals_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    labels, values = rng.normal(size=(2, 500)).astype(np.float32)
    found = metrics.regression(labels, values)
    assert found["rmse"] == pytest.approx(mean_squared_error(labels, values) ** 0.5, rel=1e-6)
    assert found["mae"] == pytest.approx(mean_absolute_error(labels, values), rel=1e-6)
    assert metrics.multiclass(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])) == {"accuracy": 0.75}
