"""Two runs on one page: which figures are better, what differs, and that the page is whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkmine.evaluate import Evaluation, compare, evaluate_models
from sparkmine.evaluate.changes import (
    ChampionPair,
    ChampionSide,
    EvaluationPair,
    RunComparison,
    RunSide,
    StageChange,
    StagePair,
    StageSide,
    metrics_of,
    models_of,
    render,
)
from sparkmine.evaluate.changes.judge import change_of, verdict
from sparkmine.evaluate.changes.page import to_html
from sparkmine.evaluate.intervals import Interval

ReadPage = Callable[[str], Any]
HOSTILE = '<script>alert("x")</script>'
SECTIONS = ["runs", "evaluation", "champion", "changes", "stages", "quality"]


def evaluation(noise: float, *more: str, name: str = "network") -> Evaluation:
    """Of a model whose scores have this much noise beside its labels."""
    generator = np.random.default_rng(0)
    score = generator.random(300)
    labels = (score + generator.normal(0, 0.2, 300) > 0.15).astype(int)
    noisy = np.clip(score + generator.normal(0, noise, 300), 0, 1)
    models = {name: noisy, **dict.fromkeys(more, score), "majority": np.full(300, 0.8)}
    return evaluate_models(
        labels,
        np.repeat(np.arange(60), 5),
        models,
        ["majority"],
        samples=30,
        chosen=name,
        group_name="households",
        classes=("stays away", "shops"),
    )


def full(name: str = "network") -> RunComparison:
    """A comparison with every section, in which `name` stands wherever a name can."""
    run = RunSide(
        run_id="20260101T000000-aaaaaa",
        pipeline=name,
        date="2026-01-01",
        started="2026-01-01 00:00:00",
        code_version="0.1.0+0123456789",
        seed=7,
        status="succeeded",
        seconds=75.0,
    )
    other = replace(
        run,
        run_id="20260102T000000-bbbbbb",
        status="failed",
        seconds=12.25,
        error=f"TOO_MANY_BAD_ROWS: {name}",
    )
    clean = StageSide(
        status="done",
        rows_in=1_469_307,
        kept=1_461_002,
        quarantined=8_305,
        removed=0,
        seconds=14.2,
        table="clean/transactions",
        version=3,
        read={"raw/transactions": 2},
        why=f"{name} changed",
        reasons={f"{name} > 0": 8_305, "gone": 4},
    )
    return RunComparison(
        a=run,
        b=other,
        stages=(
            StagePair(name="ingest", kind="ingest", a=clean, b=clean, same=True),
            StagePair(
                name="clean",
                kind="clean",
                a=clean,
                b=replace(
                    clean, quarantined=9_000, version=4, reasons={f"{name} > 0": 9_000, name: 5}
                ),
                same=False,
                changes=(
                    StageChange(what="setting", name="columns.amount.maximum", a="500", b="50"),
                    StageChange(what="file", name=name, a=None, b="there"),
                ),
            ),
            StagePair(
                name=name,
                kind="train",
                a=None,
                b=StageSide(status="failed", why=f"RANK_FAILED: {name}"),
                same=None,
                note="Run A has no line of it.",
            ),
        ),
        evaluations=(
            EvaluationPair(
                stage="evaluate",
                a=evaluation(0.4, "old", name=name),
                b=evaluation(0.05, name=name),
                rows="different",
                rows_note="The figures are of different rows: 1 row in A, 2 in B.",
                notes=("The thresholds differ.",),
            ),
        ),
        champions=(
            ChampionPair(
                table="champions/visits",
                a=None,
                b=ChampionSide(version=1, model=name, promoted=True, why=f"{name} beats it"),
                same=False,
            ),
        ),
        notes=("Run B failed.",),
    )


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(full())


def test_the_page_is_whole_and_loads_nothing(page: str, read_page: ReadPage) -> None:
    parsed = read_page(page)
    assert [found for found in parsed.ids if found in SECTIONS] == SECTIONS
    assert len(parsed.ids) == len(set(parsed.ids))
    targets = {v[1:] for _, name, v in parsed.attributes if name == "href" and v.startswith("#")}
    assert targets <= set(parsed.ids) and set(SECTIONS) <= targets
    assert not parsed.tags & {"script", "iframe", "object", "embed", "img", "image", "base"}
    for tag, name, value in parsed.attributes:
        assert name.startswith("xmlns") or "//" not in value, (tag, name, value[:80])
    assert len(page.encode()) < 5_000_000
    for expected in (
        "20260102T000000-bbbbbb",
        "1 min 15 s",
        "TOO_MANY_BAD_ROWS: network",
        "clean/transactions@4",
        "raw/transactions@2",
        "columns.amount.maximum",
        "RANK_FAILED: network",
        "Run A has no line of it.",
        "of different rows: 1 row in A",
        "The thresholds differ.",
        "beats the best baseline, majority",
        "made it the champion",
        "Run B failed.",
    ):
        assert expected in parsed.text, expected
    # Counts of a rule that only one run has are 0 in the other.
    assert "1 of 3" in parsed.text and "1 cannot be compared" in parsed.text
    rows = re.findall(r"<tr>.*?</tr>", page[page.index('id="quality"') :], re.DOTALL)
    cells = [re.findall(r'<td class="n[^"]*">([^<]*)</td>', row) for row in rows]
    assert ["8,305", "9,000", "+695"] in cells and ["4", "0", "-4"] in cells
    assert ["0", "5", "+5"] in cells


def test_the_picture_tells_both_runs(page: str) -> None:
    (label,) = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', page)
    a, b = evaluation(0.4, "old"), evaluation(0.05)
    values = [e.model("network").metrics["roc_auc"].value for e in (a, b)]
    old = a.model("old").metrics["roc_auc"].value
    assert values[0] is not None and values[1] is not None and old is not None
    assert label == (
        f"With 95 % intervals. ROC-AUC: network {values[0]:.3f} in A, {values[1]:.3f} in B; "
        f"majority 0.500 in A, 0.500 in B; old {old:.3f} in A."
    )


def test_which_run_is_better() -> None:
    def interval(value: float | None, low: float | None, high: float | None) -> Interval:
        return Interval(value=value, low=low, high=high)

    low, high = interval(0.6, 0.55, 0.65), interval(0.75, 0.7, 0.8)
    found = change_of("roc_auc", low, high)
    assert (found.better, found.apart) == ("B", True) and found.change == pytest.approx(0.15)
    assert change_of("log_loss", low, high).better == "A"  # lower is better
    touching = change_of("roc_auc", low, interval(0.7, 0.65, 0.8))
    assert (touching.better, touching.apart) == ("B", False)
    assert change_of("roc_auc", low, low).better == "equal"
    nothing = change_of("roc_auc", low, interval(None, None, None))
    assert (nothing.better, nothing.change, nothing.apart) == ("", None, False)
    assert not change_of("roc_auc", interval(0.1, None, None), high).apart


def test_the_change_has_the_interval_of_a_paired_bootstrap() -> None:
    generator = np.random.default_rng(4)
    score = generator.random(400)
    labels = (score + generator.normal(0, 0.3, 400) > 0.5).astype(int)
    ids = np.array([f"h{n // 4}" for n in range(400)])
    first, second = (np.clip(score + generator.normal(0, s, 400), 0, 1) for s in (0.4, 0.3))

    def measured(predictions: Any, rows: Any = slice(None), seed: int = 3) -> Evaluation:
        found = evaluate_models(
            labels[rows], ids[rows], {"m": predictions[rows]}, [], samples=200, seed=seed
        )
        return Evaluation.from_json(json.loads(json.dumps(found.to_json())))

    def change(a: Evaluation, b: Evaluation) -> Any:
        (model,) = models_of(EvaluationPair(stage="evaluate", a=a, b=b))
        return model.metrics["roc_auc"]

    # An independent way to the same: both models on the same resamples of one call.
    order = np.random.default_rng(0).permutation(400)
    found = change(measured(first), measured(second, order))
    wanted = compare(labels, second, first, ids, ["roc_auc"], samples=200, seed=3)["roc_auc"]
    assert found.paired and found.beyond_chance
    assert found.change == pytest.approx(wanted.value, abs=1e-9)
    assert found.interval.low == pytest.approx(wanted.low, abs=1e-6)
    assert found.interval.high == pytest.approx(wanted.high, abs=1e-6)
    same = change(measured(first), measured(first))
    assert (same.interval.low, same.interval.high, same.beyond_chance) == (0.0, 0.0, False)
    # Other rows, or other resamples, are not paired; the same model differs from itself by chance.
    for other in (measured(first, slice(0, 396)), measured(first, seed=4)):
        found = change(measured(first), other)
        assert not found.paired and not found.beyond_chance
        assert found.interval.low < -0.03 and found.interval.high > 0.03
    moved = labels.copy()
    moved[[0, 399]] = moved[[399, 0]] if labels[0] != labels[399] else 1 - moved[[0, 399]]
    relabelled = evaluate_models(moved, ids, {"m": first}, [], samples=200, seed=3)
    assert not change(measured(first), relabelled).paired
    unknown = replace(measured(first), replicates=None)
    assert change(unknown, measured(second)).interval is None


def test_models_of_one_run_only_and_other_metrics() -> None:
    (pair,) = full().evaluations
    only = {model.name: model.only for model in models_of(pair)}
    assert only == {"network": "", "majority": "", "old": "A"}
    assert metrics_of(pair)[0] == "roc_auc"
    assert verdict(pair).startswith("Run B has the better figure of the best model (network in bo")
    assert verdict(replace(pair, a=None)) == "Only run B has an evaluation."
    assert verdict(replace(pair, a=pair.b)).endswith("have the same figure.")
    assert pair.a is not None
    by_f1 = replace(pair, a=replace(pair.a, primary="f1"))
    assert metrics_of(by_f1)[:2] == ("roc_auc", "f1")
    assert "different metrics" in verdict(by_f1)
    numbers = np.arange(20.0)
    regression = evaluate_models(
        numbers, np.arange(20), {"mean": numbers + 1}, [], task="regression", samples=10
    )
    other = models_of(replace(pair, a=regression))
    assert {m.name: m.only for m in other}["mean"] == "A"
    assert all(change.change is None for m in other for change in m.metrics.values())


@pytest.mark.parametrize("missing", ["a", "b", "both"])
def test_what_a_run_lacks_is_left_out(missing: str, read_page: ReadPage) -> None:
    (pair,) = full().evaluations
    gone = {"a": None, "b": None} if missing == "both" else {missing: None}
    parsed = read_page(to_html(replace(full(), evaluations=(replace(pair, **gone),))))
    assert "This run has none." in parsed.text
    bare = replace(full(), stages=(), evaluations=(), champions=(), notes=())
    assert [i for i in read_page(to_html(bare)).ids if i in SECTIONS] == ["runs"]


def test_markup_in_names_is_text(read_page: ReadPage) -> None:
    text = to_html(full(HOSTILE))
    assert "<script" not in text
    assert HOSTILE in read_page(text).text


def test_same_data_same_bytes(page: str, tmp_path: Path) -> None:
    found = RunComparison.from_json(json.loads(json.dumps(full().to_json())))
    assert found == full()
    target = render(found, tmp_path / "_reports" / "a..b.html")
    assert target.read_text(encoding="utf-8") == page


@pytest.mark.slow
def test_the_page_never_scrolls_sideways(
    widths_of: Callable[[str], list[tuple[int, int]]],
) -> None:
    long = "a_rather_long_name_of_a_stage_or_a_model_that_somebody_gave"
    for width, needed in widths_of(to_html(full(long))):
        assert needed <= width
