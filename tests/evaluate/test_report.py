"""The report as a page: whole, self-contained, the same for the same data, safe against markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkmine.errors import DataError
from sparkmine.evaluate import Evaluation, evaluate_models
from sparkmine.evaluate.report import (
    BasketExample,
    CalibrationCurve,
    Champion,
    ChosenThreshold,
    Clusters,
    Combined,
    EqualRows,
    Evaluated,
    FrequentItemset,
    FrequentItemsets,
    FuzzyMatches,
    GroupKeywords,
    Histogram,
    Judged,
    JudgedDecisions,
    Keyword,
    KeywordTable,
    Leakage,
    LearningCurve,
    MissingValues,
    ModelWeights,
    NearCopies,
    Predictions,
    Prices,
    Recommendations,
    RecommendedItem,
    ReportData,
    Rule,
    Rules,
    RunInfo,
    ScoredPair,
    Spectrum,
    StageInfo,
    TableQuality,
    Topic,
    TopicTable,
    WeightLevel,
    render,
)
from sparkmine.evaluate.report.render import to_html
from sparkmine.evaluate.report.weights import weights_of

SECTIONS = [
    "result",
    "pipeline",
    "quality",
    "equal",
    "copies",
    "fuzzy",
    "missing",
    "components",
    "learning",
    "clusters",
    "keywords",
    "topics",
    "calibration",
    "ensembles",
    "evaluation",
    "decisions",
    "weights",
    "itemsets",
    "rules",
    "recommendations",
    "predictions",
    "run",
]
ReadPage = Callable[[str], Any]
HOSTILE = '<script>alert("x")</script>'


def evaluated(found: Evaluation) -> Evaluated:
    return Evaluated(stage="evaluate", table="evaluation/models", evaluation=found)


def stages(name: str) -> tuple[StageInfo, ...]:
    return (
        StageInfo(name="ingest", kind="ingest", status="done", rows_out=1_469_307, seconds=14.2),
        StageInfo(
            name="clean",
            kind="clean",
            status="up to date",
            rows_in=1_469_307,
            rows_out=1_461_002,
            quarantined=8_305,
            removed=0,
            seconds=75.0,
            table="clean/transactions",
            version=3,
            inputs=("ingest",),
            note=f"source {name} changed",
        ),
        StageInfo(name=name, kind="train", status="failed", inputs=("clean",)),
        StageInfo(name="report", kind="report", status="running", inputs=(name, "ingest")),
    )


def full(name: str = "network") -> ReportData:
    """A report with every section, in which `name` stands wherever a name can."""
    generator = np.random.default_rng(0)
    ids = np.repeat(np.arange(60), 5)
    score = generator.random(300)
    labels = (score + generator.normal(0, 0.2, 300) > 0.15).astype(int)
    noisy = np.clip(score + generator.normal(0, 0.3, 300), 0, 1)
    evaluation = evaluate_models(
        labels,
        ids,
        {name: score, "tree": noisy, "mean": (score + noisy) / 2, "majority": np.full(300, 0.8)},
        ["majority"],
        samples=30,
        ensembles={"mean": [name, "tree"]},
        group_name="households",
        classes=("stays away", "shops"),
        segments={f"kind of {name}": np.array([name, "other"])[ids % 2]},
    )
    return ReportData(
        title=f"Retail {name}",
        question="Will this household shop in the next 7 days?",
        run=RunInfo(
            run_id="run-1", date="2026-01-31", code_version="0.1.0", seed=7, extra={"Spark": "4.2"}
        ),
        stages=stages(name),
        quality=(
            TableQuality(
                table=f"clean/{name}",
                rows_in=100,
                kept=97,
                quarantined=2,
                removed=1,
                reasons={f"{name} > 0": 2},
            ),
            TableQuality(table="empty", rows_in=0, kept=0, quarantined=0, removed=0),
        ),
        equal=(
            EqualRows(
                table=f"unique/{name}",
                rows=90,
                groups=70,
                removed=20,
                repeated=11,
                key=(name, "day"),
                largest=((f"key {name}", 8),),
                examples=((f"kept {name}", f"gone {name}", 7), ("same", "", 1)),
            ),
        ),
        copies=(
            NearCopies(
                table=f"unique/{name}",
                rows=120,
                clusters=77,
                compared=90,
                near=63,
                threshold=0.7,
                largest=((name, 13), ("b", 2)),
                examples=((0.7125, f"one {name}", "other text"),),
                joined=84,
                precision=0.75,
            ),
        ),
        fuzzy=(
            FuzzyMatches(
                table=f"people/{name}",
                rows=200,
                clusters=130,
                compared=400,
                matched=80,
                near_misses=3,
                threshold=0.95,
                expected_precision=0.9987,
                verified=20,
                precision=0.95,
                recall=None,
                largest=((name, 4),),
                levels=(
                    WeightLevel(comparison="Prior", level="", weight=-9.5),
                    WeightLevel(comparison=name, level="equal", weight=8.25, m=0.7, u=0.002),
                    WeightLevel(comparison=name, level="other", weight=-70.0, m=0.3, u=1.0),
                    WeightLevel(comparison="born", level="equal", weight=0.5, seen=False),
                ),
                examples=(
                    ScoredPair(
                        probability=0.9612,
                        matched=True,
                        values=((name, "Ann", name), ("born", "", "1970-01-01")),
                        bars=(("Prior", "", -9.5), (name, "equal", 14.25), ("Sum", "", 4.75)),
                    ),
                ),
            ),
            FuzzyMatches(
                table="none",
                rows=1,
                clusters=1,
                compared=0,
                matched=0,
                near_misses=0,
                threshold=0.5,
            ),
        ),
        missing=(
            MissingValues(table=name, fractions={name: 0.4, "$income_$": 0.0004, "full": 0.0}),
            MissingValues(table="complete", fractions={"full": 0.0}),
        ),
        spectra=(Spectrum(name=name, explained=(0.5, 0.3, 0.1)),),
        learning=(
            LearningCurve(model=name, history={"loss": (0.5, 0.4), "val_loss": (0.5, 0.45)}),
        ),
        evaluations=(evaluated(evaluation),),
        leakage=(
            Leakage(
                table=f"features/{name}",
                train="week < 4",
                test="week > 5",
                findings=(("id", f"{name} names rows"),),
            ),
            Leakage(table="clean", train="week < 4", test="week > 5", findings=()),
        ),
        clusters=(
            Clusters(
                table=f"mined/{name}",
                rows=1_000,
                inertia=12.5,
                profiles=((900, 0.9, "as all rows"), (100, 0.1, f"high {name} (+2.4 sd)")),
                features=(name, "visits"),
                means=((-0.3, 0.0), (2.4, -0.1)),
                choice=((1, 40.0, None, 1.0), (2, 12.5, 0.8125, None), (3, 9.0, 0.5, 0.5)),
                elbow=2,
                chosen=3,
            ),
        ),
        keywords=(
            KeywordTable(
                table=f"mined/{name} words",
                text="label",
                by="shelf",
                texts=12_345,
                groups=40,
                largest=(
                    GroupKeywords(
                        group=name,
                        texts=3_210,
                        keywords=(
                            Keyword(term=name, count=123, inside=0.5, outside=0.125, score=99.0),
                            Keyword(
                                term="rye",
                                count=7,
                                inside=0.25,
                                outside=0.0,
                                score=20.0,
                                example=f"rye of {name}",
                            ),
                        ),
                    ),
                    GroupKeywords(group="rest", texts=2, keywords=()),
                ),
            ),
        ),
        topics=(
            TopicTable(
                table=f"mined/{name} topics",
                text="label",
                rows=4_321,
                terms=77,
                coherence=0.34,
                perplexity=56.78,
                topics=(
                    Topic(
                        share=0.75,
                        coherence=0.5,
                        words=((name, 0.25), ("wine", 0.125)),
                        examples=(f"{name} and wine",),
                    ),
                    Topic(share=0.25, coherence=-0.1, words=(("soap", 0.5),)),
                ),
                choice=((2, 0.34, 56.78), (3, 0.3, None)),
                chosen=2,
            ),
        ),
        champions=(
            Champion(
                table="champions/shops",
                evaluation="evaluation/models",
                model=name,
                version=3,
                why=f"{name} beats the majority",
                promoted=False,
                challenge="forest is worse than the champion",
            ),
        ),
        rules=(
            Rules(
                stage=f"rules of {name}",
                rules=tuple(
                    Rule(
                        antecedent=(name, "milk"),
                        consequent=("bread",),
                        support=0.01 * place,
                        confidence=0.3,
                        lift=1.0 + place,
                        leverage=0.0123 * place,
                        conviction=None if place == 3 else 1.5,
                        zhang=0.777,
                    )
                    for place in range(1, 41)
                ),
                total=2_212,
                baskets=155_659,
            ),
        ),
        calibrations=(
            CalibrationCurve(
                model=name,
                method="isotonic",
                rows=4_567,
                positives=1_000,
                curve=((0.1, 0.25), (0.9, 0.5)),
            ),
        ),
        ensembles=(
            Combined(
                stage=f"mean of {name}",
                method="averaging",
                members=(name, "tree"),
                weights=(0.875, 0.125),
                found=True,
                loss=0.4321,
                equal=0.5432,
            ),
            Combined(stage="votes", method="voting", members=(name, "tree")),
            Combined(
                stage="stacked", method="stacking", members=(name,), final="logistic", folds=4
            ),
        ),
        thresholds=(
            ChosenThreshold(
                model=name,
                prices=Prices(
                    false_positive=1, false_negative=6.5, true_positive=-2, true_negative=0
                ),
                threshold=0.1875,
                rows=9_876,
                positives=4_938,
                cost=0.3125,
                cost_at_half=0.75,
            ),
        ),
        decisions=(
            JudgedDecisions(
                stage="evaluate",
                model=name,
                expected=0.3125,
                chosen=Judged(threshold=0.1875, counts=((7, 2), (1, 10)), cost=0.425),
                common=Judged(threshold=0.5, counts=((9, 0), (4, 7)), cost=1.3),
                classes=(f"no {name}", "yes"),
            ),
        ),
        weights=(
            ModelWeights.of(
                name,
                weights_of(
                    {
                        "coefficients": {name: -2.0, "visits": 0.5, "never": 0.0},
                        "deviations": {name: 0.25, "visits": 3.0, "never": 1.0},
                    }
                ),
            ),
            ModelWeights.of("forest", weights_of({"importances": {name: 0.125, "visits": 0.875}})),
            ModelWeights.of("classes", weights_of({"coefficients": {name: [1.0, -1.0, 0.0]}})),
        ),
        itemsets=(
            FrequentItemsets(
                table="mined/itemsets",
                keep="closed",
                min_support=0.02,
                baskets=4_000,
                mined=77,
                lengths=((1, 12), (2, 40), (3, 5)),
                first=(FrequentItemset(items=(name, "milk"), support=0.0825, baskets=330),),
            ),
        ),
        recommendations=(
            Recommendations(
                table="mined/recommendations",
                score="confidence",
                item="category",
                baskets=4_000,
                numbers=((0, 1_000), (1, 500), (3, 2_500)),
                items=(
                    RecommendedItem(
                        item=name,
                        baskets=1_234,
                        score=0.4321,
                        lift=2.345,
                        antecedent=(name, "milk"),
                    ),
                    RecommendedItem(
                        item="bread", baskets=12, score=None, lift=None, antecedent=("milk",)
                    ),
                ),
                all_items=17,
                examples=(
                    BasketExample(
                        basket=name, items=((name, 0.5, ("milk",)), ("bread", None, ("milk",)))
                    ),
                ),
            ),
        ),
        predictions=(
            Predictions(
                stage="predict",
                table="predictions",
                version=2,
                rows=300,
                model=name,
                scores=Histogram.of(score),
                about="week 53",
                positives=150,
            ),
        ),
        notes=("The test period is weeks 46 to 52.",),
    )


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(full())


def test_page_is_whole_and_has_every_section(page: str, read_page: ReadPage) -> None:
    parsed = read_page(page)
    assert [found for found in parsed.ids if found in SECTIONS] == SECTIONS
    assert len(parsed.ids) == len(set(parsed.ids))
    targets = [v[1:] for _, name, v in parsed.attributes if name == "href" and v.startswith("#")]
    assert set(targets) <= set(parsed.ids)
    for expected in (
        "beats the best baseline, majority",
        "forest is worse than the champion",
        "The classes are lopsided",
        "stays away",
        "1,461,002",
        "1 min 15 s",
        "clean/transactions@3",
        "predictions@2",
        "155,659 baskets",
        "Top 25",
        "source network changed",
        "$income_$",
        "70.0\u00a0% reach 0.7",
        "one network",
        "80 reach 0.95, 3 nearly",
        "20 pairs, recall \u2013",
        "Match probability 96.12\u00a0%: taken for one.",
        "Grey: no pair",
        "2,212 rules over items in 155,659 baskets",
        # visits: 0.5 a unit, 3 units a deviation; it weighs more than -2.0 of 0.25.
        "+1.500+0.5",
        "-0.500-2",
        "2 of 3 columns count.",
        "87.5\u00a0%",
        # 500 + 3 * 2,500 of 4,000 baskets.
        "8,0002.00 a basket",
        "3,00075.0\u00a0%",
        "1,23430.9\u00a0%0.4322.35",
        "isotonic4,56721.9\u00a0%",
        "weights by validation",
        "network87.5\u00a0%",
        "0.43210.5432",
        "logistic learns from predictions on 4 folds",
        "16.5-200.1889,87650.0\u00a0% of class 10.31250.7500",
        "a row cost 0.4250 by the chosen threshold, 0.188, and 1.3000 by 0.5",
        "predicted no network",
        "1090.9\u00a0%",
        "0.0123",
        "0.78",
        "∞",
        "No missing values in complete.",
        "2 clusters of 1,000 rows",
        "high network (+2.4 sd)",
        "2 (elbow)12.5",
        "3 (chosen)9",
        "2 (chosen)0.340",
        "0.812",
        "12,345 texts (label) in 40 groups (shelf). The 2 largest are shown.",
        "rye of network",
        "Without keywords: rest.",
        "network: 3,210 texts.",
        "4,321",
        "56.8",
        "network and wine",
        "Topic 0: 75.0\u00a0% of all words, coherence 0.50.",
    ):
        assert expected in parsed.text, expected


def test_pictures_are_described(page: str) -> None:
    labels = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', page)
    for start in (
        "ROC curves.",
        "Precision-recall curves.",
        "Calibration",
        "With 95 % intervals. ROC-AUC: mean",
        "Missing values in network: network 40.0\u00a0%",
        "Explained variance of 3 components",
        "network, loss by epoch: training 0.5 to 0.4",
        "Match weights: Prior -9.5, network equal +8.2, network other -70.0",
        "How a match weight comes about: Prior -9.5, network: equal +14.2, Sum +4.8.",
        "40 rules by support",
        "Clusters of mined/network. 0: as all rows; 1: high network (+2.4 sd).",
        "Calibration of network: 0.10 became 0.25, 0.90 became 0.50.",
        "mined/network: inertia by number of clusters; the square is the elbow, 2; orange is the "
        "chosen one, 3. 1 40, 2 12.5, 3 9.",
        "mined/network topics: coherence by number of topics; orange is the chosen one, 2.",
        "Keywords of network: network 50.0\u00a0% against 12.5\u00a0%, rye 25.0",
        "Words of topic 0: network 25.0\u00a0%, wine 12.5\u00a0%.",
        "Histogram of 300 scores",
        "The pipeline: ingest, clean, network, report.",
    ):
        assert any(label.startswith(start) for label in labels), start


def test_page_loads_nothing(page: str, read_page: ReadPage) -> None:
    parsed = read_page(page)
    assert not parsed.tags & {"script", "iframe", "object", "embed", "img", "image", "base"}
    for tag, name, value in parsed.attributes:
        if not name.startswith("xmlns"):
            assert "//" not in value, (tag, name, value[:80])
        if name in ("href", "xlink:href", "src"):
            assert value.startswith("#") or value == "data:,", (tag, name, value)
    assert "@import" not in page
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", page))
    assert len(page.encode()) < 5_000_000


def test_markup_in_names_is_text(read_page: ReadPage) -> None:
    text = to_html(full(HOSTILE))
    assert "<script" not in text
    parsed = read_page(text)
    assert HOSTILE in parsed.text
    assert "script" not in parsed.tags


def test_same_data_same_bytes(page: str, tmp_path: Path) -> None:
    target = render(full(), tmp_path / "reports" / "run.html")
    assert target.read_text(encoding="utf-8") == page
    assert [file.name for file in target.parent.iterdir()] == ["run.html"]


def test_every_section_is_optional(read_page: ReadPage) -> None:
    parsed = read_page(to_html(ReportData(title="Nothing yet")))
    assert not set(parsed.ids) & set(SECTIONS)
    only = read_page(
        to_html(ReportData(title="Rules", rules=(Rules(stage="rules", rules=(), total=0),)))
    )
    assert "rules" in only.ids
    one_class = evaluate_models(
        np.ones(20), np.arange(20), {"a": np.full(20, 0.9), "b": np.full(20, 0.8)}, ["b"], samples=5
    )
    undefined = read_page(
        to_html(ReportData(title="One class", evaluations=(evaluated(one_class),)))
    )
    assert "cannot be decided" in undefined.text
    assert "nan" not in undefined.text.lower()


def test_all_stages_of_a_kind_are_shown(read_page: ReadPage) -> None:
    report = full()
    (first,), (champion,) = report.evaluations, report.champions
    second = replace(first, stage="evaluate_again", table="evaluation/again")
    more = replace(champion, table="champions/again", evaluation="evaluation/again", version=9)
    other = replace(champion, table="champions/lost", evaluation="evaluation/lost")
    (rules,), (scores,) = report.rules, report.predictions
    page = read_page(
        to_html(
            replace(
                report,
                evaluations=(first, second),
                champions=(other, more, champion),
                rules=(rules, replace(rules, stage="rules_again", total=77)),
                predictions=(scores, replace(scores, stage="predict_again", table="coming")),
            )
        )
    )
    assert len(page.ids) == len(set(page.ids))
    result, _ = page.text.split("Rows and seconds of every stage")
    # Each champion stands with its evaluation, and what has none at the end.
    places = [
        result.index(one)
        for one in (
            "version 3 of champions/shops",
            "evaluate_again",
            "version 9 of champions/again",
            "version 3 of champions/lost",
        )
    ]
    assert places == sorted(places)
    for expected in ("77 rules over", "rules_again", "predict_again", "coming@2", "predictions@2"):
        assert expected in page.text, expected
    assert page.text.count("Confusion matrices") == 2


def test_json_round_trip() -> None:
    report = full()
    assert ReportData.from_json(json.loads(json.dumps(report.to_json()))) == report
    with pytest.raises(DataError, match="no saved ReportData"):
        ReportData.from_json({"heading": "x"})


def test_ensembles_from_metrics_and_block() -> None:
    members = {"members": ["a", "b"]}
    given = Combined.of("mean", {**members, "method": "averaging"}, {"weights": [3.0, 1.0]})
    assert (given.weights, given.found) == ((0.75, 0.25), False)
    equal = Combined.of("mean", {**members, "method": "averaging"}, {"weights": None})
    assert equal.weights == (0.5, 0.5)
    votes = Combined.of("votes", {**members, "method": "voting"}, {"weights": None})
    assert votes.weights == ()
    final = {"kind": "scikit_learn", "estimator_class": "sklearn.linear_model:Ridge"}
    stacked = Combined.of("stack", {"stacking": {**members, "folds": 3}}, {"final": final})
    assert (stacked.final, stacked.folds) == ("sklearn.linear_model:Ridge", 3)


def test_histogram_needs_one_edge_more() -> None:
    with pytest.raises(DataError, match="2 bins has 3 edges"):
        Histogram(edges=(0.0, 1.0), counts=(1, 2))


@pytest.mark.slow
def test_page_never_scrolls_sideways(
    widths_of: Callable[[str], list[tuple[int, int]]],
) -> None:
    long = "a_rather_long_name_of_a_stage_or_a_model_that_somebody_gave"
    many = tuple(replace(stage, name=f"{stage.name}_{long}", inputs=()) for stage in stages("x"))
    report = replace(full(long), stages=stages(long) + many)
    for width, needed in widths_of(to_html(report)):
        assert needed <= width


def test_classes_and_numbers_have_their_pictures(tmp_path: Path, read_page: Any) -> None:
    generator = np.random.default_rng(1)
    ids = np.arange(300) // 3
    names = np.array([f"kind {i}" for i in range(15)])
    labels = generator.integers(0, 15, 300)
    right = np.where(generator.random(300) < 0.8, labels, generator.integers(0, 15, 300))
    for kinds, expected in ((4, "predicted kind 1"), (15, "Predicted")):
        found = evaluate_models(
            names[labels % kinds],
            ids,
            {"tree": names[right % kinds], "most": np.full(300, "kind 0")},
            ["most"],
            task="multiclass",
            samples=20,
        )
        page = read_page(
            render(
                ReportData(title="Kinds", evaluations=(evaluated(found),)), tmp_path / "a.html"
            ).read_text()
        )
        assert expected in page.text and "F1, macro" in page.text
        assert "ROC" not in page.text and "rows are “" not in page.text.split("lopsided")[0]
    values = generator.normal(size=300)
    found = evaluate_models(
        values,
        ids,
        {"tree": values + generator.normal(0, 0.1, 300), "mean": np.zeros(300)},
        ["mean"],
        task="regression",
        samples=20,
    )
    page = read_page(
        render(
            ReportData(title="Prices", evaluations=(evaluated(found),)), tmp_path / "b.html"
        ).read_text()
    )
    assert "RMSE" in page.text and "on the line, the prediction is right" in page.text
    assert "Confusion" not in page.text


def test_errors_of_a_page_are_seen(widths_of: Callable[[str], list[tuple[int, int]]]) -> None:
    page = "<!doctype html><html><head><title>x</title></head><body>{}</body></html>"
    assert widths_of(page.format("<p>x</p>")) == [(390, 390), (1280, 1280)]
    bad = '<script>null.x</script><img src="none.png"><script>console.error("oh")</script>'
    with pytest.raises(AssertionError, match=r"of null.*oh.*none\.png"):
        widths_of(page.format(bad))
