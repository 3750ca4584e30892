"""Metrics with intervals, comparison with the baseline, and the HTML report."""

from sparkmine.evaluate.comparison import Evaluation, ModelEvaluation, evaluate_models
from sparkmine.evaluate.curves import CalibrationBin, Confusion, Curve
from sparkmine.evaluate.intervals import Interval, bootstrap, compare
from sparkmine.evaluate.metrics import METRICS, measure

__all__ = [
    "METRICS",
    "CalibrationBin",
    "Confusion",
    "Curve",
    "Evaluation",
    "Interval",
    "ModelEvaluation",
    "bootstrap",
    "compare",
    "evaluate_models",
    "measure",
]
