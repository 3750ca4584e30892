"""What the stages left in their commits, as the parts of the report.

A new part is one line of `PARTS` and the function that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sparkmine.evaluate.report import (
    CalibrationCurve,
    ChosenThreshold,
    Combined,
    Evaluated,
    JudgedDecisions,
    KeywordTable,
    LearningCurve,
    MissingValues,
    ModelWeights,
    Spectrum,
    TopicTable,
)
from sparkmine.stages import shown
from sparkmine.stages.base import Context
from sparkmine.stages.evaluate import load_evaluation
from sparkmine.stages.explain import load_explanation
from sparkmine.stages.recommended import recommended
from sparkmine.stages.shown import Left

QUALITY_KINDS = ("ingest", "clean", "dedup", "near_duplicates", "fuzzy_records")


def parts(context: Context) -> dict[str, Any]:
    """Fields of `ReportData`, from all stages in their order."""
    found: dict[str, list[Any]] = {}
    for commit in context.commits.values():
        left = Left(context, commit.metadata or {}, commit)
        for field, (wanted, make) in PARTS.items():
            if wanted(left):
                found.setdefault(field, []).extend(make(left))
    return {name: tuple(made) for name, made in found.items()}


def _kind(kind: str) -> Callable[[Left], bool]:
    return lambda left: left.data["kind"] == kind


def _metric(key: str) -> Callable[[Left], bool]:
    return lambda left: bool(left.metrics.get(key))


# Field of the report: which stages have something for it, and what.
PARTS: dict[str, tuple[Callable[[Left], bool], Callable[[Left], Iterable[Any]]]] = {
    "quality": (
        lambda left: left.data["kind"] in QUALITY_KINDS and left.data["rows_in"] is not None,
        lambda left: [shown.quality(left)],
    ),
    "equal": (_metric("dedup"), lambda left: [shown.equal(left)]),
    "copies": (
        _metric("near_duplicates"),
        lambda left: [shown.copies(left.table, left.metrics["near_duplicates"])],
    ),
    "fuzzy": (
        _metric("fuzzy_records"),
        lambda left: [shown.fuzzy(left.table, left.metrics["fuzzy_records"])],
    ),
    "missing": (
        lambda left: "missing" in left.metrics,
        lambda left: [MissingValues(table=left.table, fractions=left.metrics["missing"])],
    ),
    "spectra": (
        _metric("spectra"),
        lambda left: [
            Spectrum(name=title, explained=tuple(ratio))
            for title, ratio in left.metrics["spectra"].items()
        ],
    ),
    "learning": (
        lambda left: "history" in left.metrics,
        lambda left: [
            LearningCurve(model=left.name, history=shown.history(left.metrics["history"]))
        ],
    ),
    "evaluations": (
        _kind("evaluate"),
        lambda left: [
            Evaluated(stage=left.name, table=left.table, evaluation=load_evaluation(left.folder))
        ],
    ),
    "calibrations": (
        _metric("calibration"),
        lambda left: [CalibrationCurve.of(left.name, left.metrics["calibration"])],
    ),
    "ensembles": (
        lambda left: left.data["kind"] in ("ensemble", "stacking"),
        lambda left: [Combined.of(left.name, left.metrics, left.data["config"])],
    ),
    "thresholds": (
        _metric("decision"),
        lambda left: [
            ChosenThreshold.of(left.name, left.metrics["decision"], left.data["config"]["costs"])
        ],
    ),
    "decisions": (
        _metric("decisions"),
        lambda left: [
            JudgedDecisions.of(left.name, found, left.data["config"]["classes"])
            for found in left.metrics["decisions"]
        ],
    ),
    "champions": (_kind("champion"), lambda left: [shown.champion(left)]),
    "outliers": (
        _metric("outliers"),
        lambda left: [shown.outliers(left.table, left.metrics["outliers"])],
    ),
    "clusters": (
        _metric("kmeans"),
        lambda left: [shown.clusters(left.table, left.metrics["kmeans"])],
    ),
    "searches": (
        _metric("search"),
        lambda left: [shown.searched(left.name, left.metrics["search"])],
    ),
    "explanations": (_kind("explain"), lambda left: [load_explanation(left.folder)]),
    "keywords": (
        _metric("keywords"),
        lambda left: [KeywordTable.of(left.table, left.metrics["keywords"])],
    ),
    "topics": (_metric("topics"), lambda left: [TopicTable.of(left.table, left.metrics["topics"])]),
    "leakage": (lambda left: "leakage" in left.metrics, lambda left: [shown.leakage(left)]),
    "weights": (
        _metric("heaviest"),
        lambda left: [ModelWeights.of(left.name, left.metrics["heaviest"])],
    ),
    "rules": (_kind("rules"), lambda left: [shown.rules(left)]),
    "itemsets": (_kind("itemsets"), lambda left: [shown.itemsets(left)]),
    "recommendations": (
        _metric("recommend"),
        lambda left: [recommended(left.context, left.data)],
    ),
    "predictions": (_kind("predict"), lambda left: [shown.predictions(left)]),
}
