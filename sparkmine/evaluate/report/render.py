"""Fill the template with the data and its pictures, and write one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkmine.evaluate.comparison import Evaluation, ModelEvaluation
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, METRICS, better, metric_label
from sparkmine.evaluate.report import data_charts, flow, linkage_charts, model_charts
from sparkmine.evaluate.report.data import ReportData, Rules
from sparkmine.evaluate.report.pages import NOTHING, environment, write_page
from sparkmine.evaluate.report.pictures import LineStyle, Picture, line_styles

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
    found = environment()
    found.filters.update(seconds=_seconds, decimal=_decimal, signed=_signed, metric=metric_label)
    return found.get_template("report/template.html.j2").render(
        report=report, sections=_sections(report), **_pictures(report)
    )


def _sections(report: ReportData) -> list[Section]:
    """The sections that have something to show, in the order of the page."""
    all_of_them = [
        ("result", "Result", report.evaluation),
        ("pipeline", "Pipeline", report.stages),
        ("quality", "Data quality", report.quality),
        ("copies", "Near copies", report.copies),
        ("fuzzy", "Fuzzy records", report.fuzzy),
        ("missing", "Missing values", report.missing),
        ("components", "Principal components", report.spectra),
        ("learning", "Learning curves", report.learning),
        ("evaluation", "Evaluation", report.evaluation),
        ("rules", "Association rules", report.rules),
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
        "spectra": [data_charts.spectrum(s, f"pca-{i}") for i, s in enumerate(report.spectra)],
        "learning": [
            picture
            for i, curve in enumerate(report.learning)
            for picture in data_charts.learning(curve, f"learning-{i}")
        ],
        "fuzzy": [
            linkage_charts.pictures(found, f"fuzzy-{i}") for i, found in enumerate(report.fuzzy)
        ],
        "drawings": [],
        "lowest": LOWER_IS_BETTER,
        "metrics": METRICS,
    }
    if report.stages:
        found["drawings"] = [
            ("wide", flow.layered(report.stages)),
            ("narrow", flow.listed(report.stages)),
        ]
        found["total_seconds"] = sum(stage.seconds or 0.0 for stage in report.stages)
    if report.evaluation:
        found.update(_evaluation(report.evaluation))
    if report.rules:
        found.update(_rules(report.rules))
    if report.predictions:
        found["scores"] = data_charts.scores(report.predictions)
    return found


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    names = [model.name for model in evaluation.models]
    greys = [model.name for model in evaluation.models if model.baseline]
    styles: dict[str, LineStyle] = line_styles(names, greys, evaluation.best)
    shown = dict.fromkeys([evaluation.primary, "pr_auc", "f1", "accuracy"])

    def beside(models: Sequence[ModelEvaluation], identifier: str) -> list[Picture]:
        return [
            model_charts.intervals(evaluation, models, metric, styles, f"{identifier}-{metric}")
            for metric in shown
        ]

    # Ensembles over the same members share their pictures.
    together: dict[tuple[str, ...], list[ModelEvaluation]] = {}
    for model in evaluation.models:
        if model.members:
            together.setdefault(model.members, []).append(model)
    return {
        "styles": styles,
        "best_values": {metric: _best_value(evaluation.models, metric) for metric in METRICS},
        "curves": [
            model_charts.roc(evaluation, styles),
            model_charts.precision_recall(evaluation, styles),
            model_charts.calibration(evaluation, styles),
        ],
        "all_models": beside(evaluation.models, "models"),
        "ensembles": [
            beside([*ensembles, *map(evaluation.model, members)], f"ensemble-{place}")
            for place, (members, ensembles) in enumerate(together.items())
        ],
    }


def _best_value(models: tuple[ModelEvaluation, ...], metric: str) -> float | None:
    best: float | None = None
    for model in models:
        value = model.metrics[metric].value
        if better(metric, value, best):
            best = value
    return best


def _rules(rules: Rules) -> dict[str, Any]:
    scatter: Picture | None = None
    if rules.rules:
        some = Rules(rules=rules.rules[:_SCATTERED_RULES], total=rules.total)
        scatter = data_charts.rules_scatter(some)
    return {"rules_scatter": scatter, "listed_rules": rules.rules[:_LISTED_RULES]}


def _seconds(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def _decimal(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:+.{digits}f}"
