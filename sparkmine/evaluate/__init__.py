"""Metrics with intervals, comparison with the baseline, and the HTML report."""

from sparkmine.evaluate.comparison import Comparison, Evaluation, ModelEvaluation, evaluate_models
from sparkmine.evaluate.curves import CalibrationBin, Confusion, Curve
from sparkmine.evaluate.intervals import Interval, bootstrap, compare
from sparkmine.evaluate.tables import evaluate_table, measure_table
from sparkmine.evaluate.tasks import TASKS, measure

__all__ = [
    "TASKS",
    "CalibrationBin",
    "Comparison",
    "Confusion",
    "Curve",
    "Evaluation",
    "Interval",
    "ModelEvaluation",
    "bootstrap",
    "compare",
    "evaluate_models",
    "evaluate_table",
    "measure",
    "measure_table",
]
