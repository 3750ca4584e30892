"""Metrics and curves against scikit-learn, and their values where they are not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from sparkmine.errors import DataError
from sparkmine.evaluate import curves, measure
from sparkmine.evaluate.binary import Scored
from sparkmine.evaluate.metrics import Options, Sample


def rows(seed: int, count: int, decimals: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with many ties where `decimals` is small, and weights."""
    generator = np.random.default_rng(seed)
    probabilities = generator.random(count).round(decimals)
    labels = (generator.random(count) < 0.2 + 0.6 * probabilities).astype(int)
    return labels, probabilities, generator.integers(0, 4, count).astype(float)


def sample(labels, probabilities, threshold: float = 0.5) -> Sample:
    scored = Scored.of(labels, probabilities, Options(threshold=threshold))
    return Sample(outcomes=scored, weights=np.ones(len(labels)))


def expected(labels, probabilities, weights, threshold):
    predicted = (probabilities >= threshold).astype(int)
    sample = {"sample_weight": weights}
    return {
        "accuracy": reference.accuracy_score(labels, predicted, **sample),
        "precision": reference.precision_score(labels, predicted, zero_division=0, **sample),
        "recall": reference.recall_score(labels, predicted, **sample),
        "f1": reference.f1_score(labels, predicted, zero_division=0, **sample),
        "mcc": reference.matthews_corrcoef(labels, predicted, **sample),
        "roc_auc": reference.roc_auc_score(labels, probabilities, **sample),
        "pr_auc": reference.average_precision_score(labels, probabilities, **sample),
        "log_loss": reference.log_loss(labels, probabilities, **sample),
        "brier": reference.brier_score_loss(labels, probabilities, **sample),
    }


@pytest.mark.parametrize("decimals", [1, 2, 12])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_equal_to_scikit_learn(decimals: int, threshold: float, weighted: bool) -> None:
    labels, probabilities, weights = rows(decimals, 3_000, decimals)
    used = weights if weighted else None
    found = measure(labels, probabilities, threshold=threshold, weights=used)
    assert list(found) == list(Scored.metrics)
    found.pop("lift")  # has no function there
    assert found == pytest.approx(expected(labels, probabilities, used, threshold), abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.2, 1.0])
def test_constant_probabilities(constant: float) -> None:
    labels, _, _ = rows(5, 400, 3)
    probabilities = np.full(400, constant)
    found = measure(labels, probabilities)
    assert found.pop("lift") == pytest.approx(1.0)
    assert found == pytest.approx(expected(labels, probabilities, None, 0.5), abs=1e-9)
    assert found["roc_auc"] == 0.5


def test_four_rows_by_hand() -> None:
    found = measure([0, 0, 1, 1], [0.1, 0.6, 0.6, 0.9])
    assert found["accuracy"] == 0.75
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == 1.0
    # Pairs (positive, negative): three ordered rightly, one tie.
    assert found["roc_auc"] == pytest.approx(3.5 / 4)


def test_lift_by_hand() -> None:
    # The first tenth of 20 rows are 2: the surest one is positive, then three tie with 2 positives.
    probabilities = [0.9, 0.8, 0.8, 0.8, *[0.1] * 16]
    labels = [1, 1, 1, 0, 1, *[0] * 15]
    assert measure(labels, probabilities)["lift"] == pytest.approx((1 + 2 / 3) / 2 / (4 / 20))


def test_one_class_only_is_not_a_number() -> None:
    negative = measure([0, 0], [0.2, 0.7])
    assert {name for name, value in negative.items() if math.isnan(value)} == {
        "recall",
        "f1",
        "roc_auc",
        "pr_auc",
        "lift",
    }
    positive = measure([1, 1], [0.2, 0.7])
    assert {name for name, value in positive.items() if math.isnan(value)} == {"roc_auc"}
    assert positive["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("labels", "probabilities", "says"),
    [
        ([], [], "no rows"),
        ([0, 1], [0.5], "equally long"),
        ([0, 2], [0.5, 0.5], "1 of 2 rows"),
        ([0, 1], [0.5, float("nan")], "1 of 2 rows"),
        ([0, 1], [0.5, 1.5], "in \\[0, 1\\]"),
    ],
)
def test_bad_input(labels, probabilities, says: str) -> None:
    with pytest.raises(DataError, match=says):
        measure(labels, probabilities)


def test_rounding_beyond_one_is_clipped() -> None:
    assert measure([0, 1], [-1e-8, 1 + 1e-7])["brier"] == 0.0


def test_unknown_metric() -> None:
    with pytest.raises(DataError, match="unknown metric auc"):
        measure([0, 1], [0.1, 0.9], ["auc"])


@pytest.mark.parametrize("decimals", [1, 12])
def test_curves_equal_scikit_learn(decimals: int) -> None:
    labels, probabilities, _ = rows(decimals, 1_000, decimals)
    scored = sample(labels, probabilities)
    false_rate, true_rate, _ = reference.roc_curve(labels, probabilities, drop_intermediate=False)
    np.testing.assert_allclose(curves.roc_curve(scored), (false_rate, true_rate), atol=1e-12)
    precision, recall, _ = reference.precision_recall_curve(labels, probabilities)
    np.testing.assert_allclose(
        curves.precision_recall_curve(scored), (recall[::-1], precision[::-1]), atol=1e-12
    )


def test_calibration_equals_scikit_learn() -> None:
    labels, probabilities, _ = rows(3, 2_000, 2)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10)
    bins = curves.calibration(sample(labels, probabilities))
    np.testing.assert_allclose([b.observed for b in bins], observed, atol=1e-12)
    np.testing.assert_allclose([b.predicted for b in bins], predicted, atol=1e-12)
    assert sum(b.rows for b in bins) == 2_000


def test_confusion_equals_scikit_learn() -> None:
    labels, probabilities, _ = rows(4, 500, 2)
    found = curves.confusion(sample(labels, probabilities, 0.4))
    table = reference.confusion_matrix(labels, probabilities >= 0.4)
    assert np.array(found.counts).tolist() == table.tolist()
    assert found.classes == ("0", "1")


def test_thinned_keeps_ends_and_area() -> None:
    labels, probabilities, _ = rows(6, 20_000, 12)
    x, y = curves.roc_curve(sample(labels, probabilities))
    thin = curves.thinned(x, y, 200)
    assert len(thin.x) <= 200
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(thin.y, thin.x) == pytest.approx(np.trapezoid(y, x), abs=2e-3)
