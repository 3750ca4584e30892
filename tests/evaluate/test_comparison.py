"""The verdict on models whose order is known, and the round trip through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from sparkmine.errors import DataError
from sparkmine.evaluate import Evaluation, compare, evaluate_models


def rows(share: float = 0.4) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    ids = np.repeat(np.arange(150), 6)
    score = generator.random(len(ids))
    order = np.quantile(score, 1 - share)
    noise = generator.normal(0, 0.1, len(ids))
    labels = (score + noise > order).astype(int)
    weak = np.clip(score + generator.normal(0, 0.5, len(ids)), 0, 1)
    return (
        labels,
        ids,
        {"majority": np.full(len(ids), share), "last week": weak, "network": score},
    )


def test_a_better_model_beats_the_best_baseline() -> None:
    labels, ids, predictions = rows()
    found = evaluate_models(
        labels, ids, predictions, ["majority", "last week"], group_name="households", seed=4
    )
    assert (found.best, found.best_baseline, found.outcome) == ("network", "last week", "beats")
    expected = compare(labels, predictions["network"], predictions["last week"], ids, seed=4)
    assert found.difference == expected["roc_auc"]
    assert found.model("network").difference == found.difference
    assert found.model("last week").difference is None
    assert found.verdict.startswith("network beats the best baseline, last week: ROC-AUC 0.9")
    assert "500 resamples of 150 households" in found.verdict
    assert found.lopsided is None
    assert not found.chosen_beforehand


def test_no_better_and_worse_models() -> None:
    labels, ids, predictions = rows()
    same = {"baseline": predictions["network"], "network": predictions["network"]}
    found = evaluate_models(labels, ids, same, ["baseline"])
    assert found.outcome == "undecided"
    assert "does not beat the best baseline, baseline, with 95\u00a0% confidence" in found.verdict
    swapped = {"baseline": predictions["network"], "weak": predictions["last week"]}
    assert evaluate_models(labels, ids, swapped, ["baseline"]).outcome == "worse"


def test_the_best_of_several_is_tested_at_a_corrected_level() -> None:
    generator = np.random.default_rng(5)  # whose difference is a marginal one
    ids = np.repeat(np.arange(60), 4)
    labels = generator.integers(0, 2, len(ids))
    signal = labels + generator.normal(0, 1.2, len(ids))
    predictions = {
        name: 1 / (1 + np.exp(-signal - generator.normal(0, noise, len(ids))))
        for name, noise in (("baseline", 1.0), ("a", 0.5), ("b", 0.5), ("c", 0.5), ("d", 0.5))
    }
    found = evaluate_models(labels, ids, predictions, ["baseline"], samples=400, seed=5)

    # By hand: whole groups are copied, and the 400 differences are sorted.
    drawn, draws = [], np.random.default_rng(5)
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(ids == g) for g in draws.integers(60, size=60)])
        areas = [
            reference.roc_auc_score(labels[rows], predictions[name][rows])
            for name in (found.best, "baseline")
        ]
        drawn.append(areas[0] - areas[1])
    plain, corrected = (np.quantile(drawn, [a / 2, 1 - a / 2]) for a in (0.05, 0.05 / 4))
    assert plain[0] > 0 > corrected[0]  # or the correction would change nothing
    assert found.confidence == pytest.approx(0.9875)
    assert [found.difference.low, found.difference.high] == pytest.approx(corrected, abs=1e-9)
    single = found.model(found.best).difference
    assert [single.low, single.high] == pytest.approx(plain, abs=1e-9)
    assert found.outcome == "undecided"
    assert "98.75\u00a0% interval" in found.verdict
    assert "as the best of 4 models was chosen on these very rows; 400 resamples" in found.verdict

    chosen = evaluate_models(
        labels, ids, predictions, ["baseline"], samples=400, seed=5, chosen=found.best
    )
    assert (chosen.outcome, chosen.confidence) == ("beats", 0.95)
    assert [chosen.difference.low, chosen.difference.high] == pytest.approx(plain, abs=1e-9)
    assert "(95\u00a0% interval" in chosen.verdict and "very rows" not in chosen.verdict


def test_lower_is_better_for_losses() -> None:
    labels, ids, predictions = rows()
    found = evaluate_models(
        labels, ids, predictions, ["majority", "last week"], metric="brier", samples=50
    )
    assert found.outcome == "beats"
    assert found.difference is not None and found.difference.high is not None
    assert found.difference.high < 0


def test_lopsided_classes_are_named() -> None:
    labels, ids, predictions = rows(0.1)
    found = evaluate_models(
        labels, ids, predictions, ["majority"], samples=20, classes=("stays away", "shops")
    )
    assert found.lopsided is not None
    assert f"only {100 * labels.mean():.1f}\u00a0% of the rows are “shops”" in found.lopsided
    assert "Always answering “stays away”" in found.lopsided
    flipped = evaluate_models(1 - labels, ids, predictions, ["majority"], samples=20)
    assert flipped.lopsided is not None and "rows are “0”" in flipped.lopsided


def test_one_class_only_cannot_be_decided() -> None:
    _, ids, predictions = rows()
    found = evaluate_models(np.ones(len(ids)), ids, predictions, ["majority"], samples=20)
    assert found.outcome == "no comparison"
    assert "cannot be decided" in found.verdict
    assert found.model("network").roc.x == ()
    assert Evaluation.from_json(found.to_json()) == found


def test_json_round_trip_keeps_everything() -> None:
    labels, ids, predictions = rows()
    predictions["mean"] = (predictions["last week"] + predictions["network"]) / 2
    found = evaluate_models(
        labels,
        ids,
        predictions,
        ["majority"],
        samples=20,
        chosen="mean",
        ensembles={"mean": ["last week", "network"]},
    )
    assert found.best == "mean" and found.chosen_beforehand
    assert found.model("mean").members == ("last week", "network")
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Evaluation.from_json(json.loads(text)) == found
    for model in found.models:
        assert len(model.roc.x) <= 200
        assert len(model.calibration) <= 10
    with pytest.raises(DataError, match="no saved Evaluation"):
        Evaluation.from_json({"rows": 3})


def test_no_baseline_and_no_model() -> None:
    labels, ids, predictions = rows()
    found = evaluate_models(labels, ids, predictions, [], samples=20)
    assert found.outcome == "no comparison" and "no baseline" in found.verdict
    with pytest.raises(DataError, match="no model"):
        evaluate_models(labels, ids, {"a": predictions["network"]}, ["a"])
    with pytest.raises(DataError, match="no predictions of forest"):
        evaluate_models(labels, ids, predictions, ["forest"])
