"""Metrics of several classes and of numbers against scikit-learn, weighted and resampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate import bootstrap, evaluate_models, measure
from sparkmine.evaluate.curves import confusion
from sparkmine.evaluate.metrics import Options, Sample
from sparkmine.evaluate.tasks import task_of


def classes(seed: int, kinds: int = 4, count: int = 800):
    """Labels, probabilities that know something of them, and weights; class 3 is rare."""
    generator = np.random.default_rng(seed)
    shares = np.array([5.0, 3.0, 2.0, 0.2, 1.0])[:kinds]
    labels = generator.choice(kinds, count, p=shares / shares.sum())
    odds = generator.random((count, kinds)) + 0.7 * np.eye(kinds)[labels]
    return labels, odds / odds.sum(axis=1, keepdims=True), generator.integers(0, 3, count) * 1.0


def numbers(seed: int, count: int = 500, level: float = 0.0):
    generator = np.random.default_rng(seed)
    labels = level + generator.normal(size=count)
    return labels, labels + generator.normal(0, 0.4, count), generator.integers(0, 3, count) * 1.0


def expected_classes(labels, predicted, probabilities, weights):
    sample = {"sample_weight": weights}
    found = {
        "accuracy": reference.accuracy_score(labels, predicted, **sample),
        "mcc": reference.matthews_corrcoef(labels, predicted, **sample),
        "f1_micro": reference.f1_score(labels, predicted, average="micro", **sample),
    }
    for average in ("macro", "weighted"):
        for name, score in (
            ("precision", reference.precision_score),
            ("recall", reference.recall_score),
            ("f1", reference.f1_score),
        ):
            found[f"{name}_{average}"] = score(
                labels, predicted, average=average, zero_division=0, **sample
            )
    if probabilities is not None:
        every = range(probabilities.shape[1])
        found["log_loss"] = reference.log_loss(labels, probabilities, labels=every, **sample)
        found["brier"] = reference.brier_score_loss(labels, probabilities, labels=every, **sample)
        each = (np.asarray(labels)[:, None] == np.arange(probabilities.shape[1])).astype(int)
        for average in ("macro", "weighted"):
            how = {"average": average, **sample}
            found[f"roc_auc_{average}"] = reference.roc_auc_score(each, probabilities, **how)
            found[f"pr_auc_{average}"] = reference.average_precision_score(
                each, probabilities, **how
            )
    return found


RANKED = ("roc_auc_macro", "roc_auc_weighted", "pr_auc_macro", "pr_auc_weighted")


def expected_numbers(labels, predicted, weights):
    sample = {"sample_weight": weights}
    return {
        "rmse": reference.root_mean_squared_error(labels, predicted, **sample),
        "mse": reference.mean_squared_error(labels, predicted, **sample),
        "mae": reference.mean_absolute_error(labels, predicted, **sample),
        "r2": reference.r2_score(labels, predicted, **sample),
    }


@pytest.mark.parametrize("kinds", [2, 4, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_equal_scikit_learn(kinds: int, weighted: bool) -> None:
    labels, probabilities, weights = classes(kinds, kinds)
    used = weights if weighted else None
    predicted = probabilities.argmax(axis=1)
    found = measure(labels, probabilities, task="multiclass", weights=used)
    expected = expected_classes(labels, predicted, probabilities, used)
    assert found == pytest.approx(expected, abs=1e-9)
    names = np.array(["north", "east", "south", "west", "none"])
    named = measure(names[labels], names[predicted], task="multiclass", weights=used)
    for name in ("log_loss", "brier", *RANKED):
        assert math.isnan(named.pop(name))
        del expected[name]
    assert named == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", [0.0, 1e6])
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_equal_scikit_learn(level: float, weighted: bool) -> None:
    labels, predicted, weights = numbers(1, level=level)
    used = weights if weighted else None
    found = measure(labels, predicted, task="regression", weights=used)
    assert found == pytest.approx(expected_numbers(labels, predicted, used), rel=1e-9)


def test_equal_labels_have_no_r2() -> None:
    found = measure([5.1, 5.1, 5.1], [5.0, 5.2, 5.1], task="regression")
    assert math.isnan(found["r2"])
    assert found["mae"] == pytest.approx(0.2 / 3)


def test_a_class_that_is_only_predicted() -> None:
    found = measure([0, 0, 1, 1], [0, 2, 1, 1], task="multiclass")
    expected = expected_classes([0, 0, 1, 1], [0, 2, 1, 1], None, None)
    assert all(math.isnan(found.pop(name)) for name in ("log_loss", "brier", *RANKED))
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_class_without_rows_has_no_part_in_ranked_averages() -> None:
    labels, probabilities, _ = classes(2, 3)
    wider = np.column_stack([probabilities, np.zeros(len(labels))])
    # Ties: many rows share a probability, and the rows are kept once.
    tied = wider[np.arange(len(labels)) % 5]
    for scores in (wider, tied):
        found = measure(labels, scores, RANKED, task="multiclass")
        assert found == pytest.approx(
            {name: expected_classes(labels, labels, scores[:, :3], None)[name] for name in RANKED},
            abs=1e-9,
        )
    outcomes = task_of("multiclass").of(labels, tied, Options())
    assert len(outcomes.compact(np.ones(len(labels))).weights) <= 15


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_joined_parts_are_the_whole(task: str) -> None:
    if task == "regression":
        labels, predictions, weights = numbers(3, level=1e5)
    else:
        labels, predictions, weights = classes(3, 2 if task == "binary" else 4)
    if task == "binary":
        predictions = predictions[:, 1].round(2)
    kind = task_of(task)
    options = Options(classes=(0, 1, 2, 3))
    parts = []
    for rows in np.array_split(np.random.default_rng(0).permutation(len(labels)), 7):
        outcomes = kind.of(labels[rows], predictions[rows], options)
        parts.append(Sample(outcomes=outcomes, weights=weights[rows]))
    whole = kind.join([kind.join(parts[:3]), kind.join(parts[3:5]), *parts[5:]])
    expected = measure(labels, predictions, task=task, weights=weights)
    assert whole.measure(tuple(kind.metrics)) == pytest.approx(expected, rel=1e-9)
    assert whole.outcomes.weight(whole.weights) == pytest.approx(weights.sum())


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_bootstrap_equals_a_loop_over_copied_rows(task: str) -> None:
    ids = np.arange(500) // 10
    if task == "regression":
        labels, predictions, weights = numbers(5)
    else:
        labels, predictions, weights = classes(5, 3, count=500)
    names = ("accuracy", "f1_macro", *RANKED) if task == "multiclass" else ("rmse", "r2")
    found = bootstrap(
        labels, predictions, ids, names, task=task, samples=30, seed=2, weights=weights
    )
    generator, drawn = np.random.default_rng(2), {name: [] for name in names}
    for _ in range(30):
        rows = [np.flatnonzero(ids == group) for group in generator.integers(50, size=50)]
        taken = np.concatenate(rows)
        if task == "regression":
            values = expected_numbers(labels[taken], predictions[taken], weights[taken])
        else:
            best = predictions[taken].argmax(axis=1)
            values = expected_classes(labels[taken], best, predictions[taken], weights[taken])
        for name in names:
            drawn[name].append(values[name])
    for name, interval in found.items():
        expected = np.percentile(drawn[name], [2.5, 97.5])
        assert [interval.low, interval.high] == pytest.approx(expected.tolist(), rel=1e-9)


def test_models_of_several_classes_and_of_numbers_are_compared() -> None:
    labels, probabilities, _ = classes(6)
    ids = np.arange(len(labels)) // 4
    found = evaluate_models(
        labels,
        ids,
        {"most": np.zeros(len(labels), int), "network": probabilities.argmax(axis=1)},
        ["most"],
        task="multiclass",
        samples=60,
        classes=("north", "east", "south", "west"),
    )
    assert found.outcome == "beats" and found.primary == "f1_macro"
    assert "log_loss" not in found.metric_names
    table = found.model("network").confusion
    assert table is not None and table.classes == ("north", "east", "south", "west")
    expected = reference.confusion_matrix(labels, probabilities.argmax(axis=1))
    assert np.array(table.counts).tolist() == expected.tolist()
    assert found.lopsided is not None and "“west”" in found.lopsided
    assert found.model("network").by_class == ()  # classes have no order
    found = evaluate_models(
        labels, ids, {"network": probabilities}, [], task="multiclass", samples=20
    )
    for place, one in enumerate(found.model("network").by_class):
        each = labels == place
        assert (one.name, one.rows) == (str(place), each.sum())
        expected_areas = (
            reference.roc_auc_score(each, probabilities[:, place]),
            reference.average_precision_score(each, probabilities[:, place]),
        )
        assert (one.roc_auc, one.pr_auc) == pytest.approx(expected_areas, abs=1e-9)
    auc = found.model("network").metrics["roc_auc_macro"]
    assert auc.low < auc.value < auc.high

    values, predicted, _ = numbers(7)
    mean = np.full(len(values), values.mean())
    found = evaluate_models(
        values,
        np.arange(len(values)),
        {"mean": mean, "tree": predicted},
        ["mean"],
        task="regression",
        samples=60,
    )
    assert found.outcome == "beats" and found.primary == "rmse"
    assert found.difference is not None and found.difference.high < 0
    scatter = found.model("tree").scatter
    assert scatter is not None and len(scatter.actual) == len(values)
    assert (found.classes, found.positives, found.lopsided) == ((), None, None)


@pytest.mark.parametrize("texts", [False, True])
def test_names_of_classes_of_which_one_has_no_row(texts: bool) -> None:
    generator = np.random.default_rng(9)
    numbers = generator.choice([0, 1, 3], 90)
    guess = np.where(generator.random(90) < 0.7, numbers, generator.choice([0, 1, 3], 90))
    names = ("north", "east", "south", "west")
    labels, predicted = (np.array(names)[x] if texts else x for x in (numbers, guess))

    def table(classes: tuple[str, ...], predicted: np.ndarray = predicted):
        how = {"task": "multiclass", "samples": 10, "classes": classes}
        return evaluate_models(labels, np.arange(90), {"model": predicted}, [], **how)

    found = table(names).model("model").confusion
    assert found is not None and found.classes == names
    expected = reference.confusion_matrix(numbers, guess, labels=[0, 1, 2, 3])
    assert np.array(found.counts).tolist() == expected.tolist()
    with pytest.raises(
        ConfigError, match=r"3 names \(north, east, south\).* of class (3|west); name"
    ):
        table(names[:3])
    if not texts:
        with pytest.raises(ConfigError, match=r"4 names .* give probabilities of 5 classes"):
            table(names, np.full((90, 5), 0.2))
    with pytest.raises(ConfigError, match="4 classes, and 3 names"):
        options = Options(classes=names if texts else (0, 1, 2, 3))
        outcomes = task_of("multiclass").of(labels, predicted, options)
        confusion(Sample(outcomes=outcomes, weights=np.ones(90)), names[:3])


def test_segments_are_measured_on_their_rows() -> None:
    labels, predicted, _ = numbers(8)
    ids = np.arange(len(labels)) // 5
    region = np.array(["north", "south", None, "north"] * 125, dtype=object)
    found = evaluate_models(
        labels,
        ids,
        {"mean": np.zeros(len(labels)), "tree": predicted},
        ["mean"],
        task="regression",
        metric="mae",
        segments={"region": region},
        samples=100,
    )
    assert [(s.value, s.rows) for s in found.segments] == [
        ("north", 250),
        ("None", 125),
        ("south", 125),
    ]
    for segment in found.segments:
        rows = [str(value) == segment.value for value in region]
        value = reference.mean_absolute_error(labels[rows], predicted[rows])
        baseline = reference.mean_absolute_error(labels[rows], np.zeros(sum(rows)))
        assert segment.best.value == pytest.approx(value)
        assert segment.difference is not None
        assert segment.difference.value == pytest.approx(value - baseline)
        assert segment.best.low < value < segment.best.high


@pytest.mark.parametrize(
    ("task", "labels", "predictions", "says"),
    [
        ("multiclass", [0, 1], [[0.5, 0.4], [0.1, 0.9]], "do not add up to 1"),
        ("multiclass", [0, 2], [[0.5, 0.5], [0.1, 0.9]], "none of the classes"),
        ("multiclass", ["a", None], ["a", "b"], "one type"),
        ("multiclass", np.arange(2000), np.arange(2000), "is this a regression"),
        ("regression", [1.0, math.nan], [1.0, 1.0], "labels must be finite"),
        ("regression", [1.0, 2.0], [1.0, math.inf], "predictions must be finite"),
        ("clustering", [1.0], [1.0], "unknown task"),
    ],
)
def test_bad_input(task: str, labels, predictions, says: str) -> None:
    with pytest.raises(DataError, match=says):
        measure(np.array(labels), np.array(predictions), task=task)
