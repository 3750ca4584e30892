"""One self-contained HTML file about a run: its pipeline, data, models and findings."""

from sparkmine.evaluate.report.data import (
    Histogram,
    LearningCurve,
    MissingValues,
    NearCopies,
    Predictions,
    ReportData,
    Rule,
    Rules,
    RunInfo,
    Spectrum,
    StageInfo,
    TableQuality,
)
from sparkmine.evaluate.report.render import render

__all__ = [
    "Histogram",
    "LearningCurve",
    "MissingValues",
    "NearCopies",
    "Predictions",
    "ReportData",
    "Rule",
    "Rules",
    "RunInfo",
    "Spectrum",
    "StageInfo",
    "TableQuality",
    "render",
]
