"""One self-contained HTML file about a run: its pipeline, data, models and findings."""

from sparkmine.evaluate.report.data import (
    Champion,
    FuzzyMatches,
    Histogram,
    Leakage,
    LearningCurve,
    MissingValues,
    NearCopies,
    Predictions,
    ReportData,
    Rule,
    Rules,
    RunInfo,
    ScoredPair,
    Spectrum,
    StageInfo,
    TableQuality,
    WeightLevel,
)
from sparkmine.evaluate.report.render import render

__all__ = [
    "Champion",
    "FuzzyMatches",
    "Histogram",
    "Leakage",
    "LearningCurve",
    "MissingValues",
    "NearCopies",
    "Predictions",
    "ReportData",
    "Rule",
    "Rules",
    "RunInfo",
    "ScoredPair",
    "Spectrum",
    "StageInfo",
    "TableQuality",
    "WeightLevel",
    "render",
]
