"""Two runs beside each other: plain data, what became better, and a page to look at."""

from sparkmine.evaluate.changes.data import (
    ChampionPair,
    ChampionSide,
    EvaluationPair,
    RunComparison,
    RunSide,
    StageChange,
    StagePair,
    StageSide,
)
from sparkmine.evaluate.changes.judge import MetricChange, ModelChange, metrics_of, models_of
from sparkmine.evaluate.changes.page import render

__all__ = [
    "ChampionPair",
    "ChampionSide",
    "EvaluationPair",
    "MetricChange",
    "ModelChange",
    "RunComparison",
    "RunSide",
    "StageChange",
    "StagePair",
    "StageSide",
    "metrics_of",
    "models_of",
    "render",
]
