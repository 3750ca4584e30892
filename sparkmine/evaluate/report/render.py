"""Fill the template with the data and its pictures, and write one HTML file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparkmine.evaluate.report import (
    choice_charts,
    cluster_charts,
    data_charts,
    decided,
    evaluated,
    explanation_charts,
    flow,
    itemsets,
    linkage_charts,
    recommended,
    search_charts,
    text_charts,
    weights,
)
from sparkmine.evaluate.report.data import ReportData, Rules
from sparkmine.evaluate.report.pages import environment, write_page
from sparkmine.evaluate.report.pictures import Picture

_LISTED_RULES = 25
_SCATTERED_RULES = 1_000


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page; the template has a block for each `key`."""

    key: str
    title: str


def render(report: ReportData, path: str | Path) -> Path:
    """Write the report to `path` as one HTML file that loads nothing; its folder is made.

    The same data gives the same bytes. A file is replaced whole or not at all.
    """
    return write_page(to_html(report), Path(path))


def to_html(report: ReportData) -> str:
    """The report as text."""
    return (
        environment()
        .get_template("report/template.html.j2")
        .render(report=report, sections=_sections(report), **_pictures(report))
    )


def _sections(report: ReportData) -> list[Section]:
    """The sections that have something to show, in the order of the page."""
    all_of_them = [
        ("result", "Result", report.evaluations or report.champions),
        ("pipeline", "Pipeline", report.stages),
        ("quality", "Data quality", report.quality),
        ("equal", "Equal rows", report.equal),
        ("copies", "Near copies", report.copies),
        ("fuzzy", "Fuzzy records", report.fuzzy),
        ("missing", "Missing values", report.missing),
        ("components", "Principal components", report.spectra),
        ("searches", "Searches", report.searches),
        ("learning", "Learning curves", report.learning),
        ("outliers", "Outliers", report.outliers),
        ("clusters", "Clusters", report.clusters),
        ("keywords", "Keywords", report.keywords),
        ("topics", "Topics", report.topics),
        ("leakage", "Leakage", report.leakage),
        ("calibration", "Calibration", report.calibrations),
        ("ensembles", "Ensembles", report.ensembles),
        ("evaluation", "Evaluation", report.evaluations),
        ("decisions", "Decisions", report.thresholds or report.decisions),
        ("weights", "Coefficients and importances", report.weights),
        ("explanation", "Explanation", report.explanations),
        ("itemsets", "Frequent itemsets", report.itemsets),
        ("rules", "Association rules", report.rules),
        ("recommendations", "Recommendations", report.recommendations),
        ("predictions", "Predictions", report.predictions),
        ("run", "Run", report.run or report.notes),
    ]
    return [Section(key=key, title=title) for key, title, content in all_of_them if content]


def _pictures(report: ReportData) -> dict[str, Any]:
    found: dict[str, Any] = {
        "missing": [
            data_charts.missing(values, f"missing-{i}")
            for i, values in enumerate(report.missing)
            if any(values.fractions.values())
        ],
        "complete": [v.table for v in report.missing if not any(v.fractions.values())],
        "clusters": [
            cluster_charts.means(found, f"clusters-{i}") for i, found in enumerate(report.clusters)
        ],
        "searches": [
            search_charts.scores(found, f"search-{i}")
            for i, found in enumerate(report.searches)
            if any(one.mean is not None for one in found.candidates)
        ],
        "cluster_choices": {
            found.table: choice_charts.inertia(found, f"inertia-{i}")
            for i, found in enumerate(report.clusters)
            if found.choice
        },
        "topic_choices": {
            found.table: choice_charts.coherence(found, f"coherence-{i}")
            for i, found in enumerate(report.topics)
            if found.choice
        },
        "keywords": [
            text_charts.keywords(found, f"keywords-{i}") for i, found in enumerate(report.keywords)
        ],
        "topics": [
            text_charts.topics(found, f"topics-{i}") for i, found in enumerate(report.topics)
        ],
        "spectra": [data_charts.spectrum(s, f"pca-{i}") for i, s in enumerate(report.spectra)],
        "learning": [
            picture
            for i, curve in enumerate(report.learning)
            for picture in data_charts.learning(curve, f"learning-{i}")
        ],
        "fuzzy": [
            linkage_charts.pictures(found, f"fuzzy-{i}") for i, found in enumerate(report.fuzzy)
        ],
        "explained": [
            (
                found,
                explanation_charts.importances(found, f"importance-{i}"),
                explanation_charts.dependence(found, f"dependence-{i}"),
            )
            for i, found in enumerate(report.explanations)
        ],
        "calibration_curves": [
            decided.picture(found, f"calibrated-{i}") for i, found in enumerate(report.calibrations)
        ],
        "weight_bars": [
            weights.picture(found, f"weights-{i}") for i, found in enumerate(report.weights)
        ],
        "itemset_bars": [
            itemsets.picture(found, f"itemsets-{i}") for i, found in enumerate(report.itemsets)
        ],
        "recommended": [
            recommended.pictures(found, f"recommended-{i}")
            for i, found in enumerate(report.recommendations)
        ],
        "evaluated": [
            (found, evaluated.pictures(found.evaluation, f"evaluation-{i}"))
            for i, found in enumerate(report.evaluations)
        ],
        "rules": [
            (found, _scattered(found, f"rules-{i}"), found.rules[:_LISTED_RULES])
            for i, found in enumerate(report.rules)
        ],
        "predicted": [
            (found, data_charts.scores(found, f"scores-{i}"))
            for i, found in enumerate(report.predictions)
        ],
        "drawings": [],
    }
    if report.stages:
        found["drawings"] = [
            ("wide", flow.layered(report.stages)),
            ("narrow", flow.listed(report.stages)),
        ]
        found["total_seconds"] = sum(stage.seconds or 0.0 for stage in report.stages)
    return found


def _scattered(rules: Rules, identifier: str) -> Picture | None:
    if not rules.rules:
        return None
    some = replace(rules, rules=rules.rules[:_SCATTERED_RULES])
    return data_charts.rules_scatter(some, identifier)
