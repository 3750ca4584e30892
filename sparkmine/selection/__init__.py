"""Choosing models: folds, search for parameters, and stacking with out-of-fold predictions."""

from sparkmine.selection.candidates import Choice, Distribution, Integer, LogUniform, Uniform
from sparkmine.selection.folds import (
    Fold,
    Folds,
    GroupKFold,
    KFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sparkmine.selection.search import SearchResult, search
from sparkmine.selection.stacking import StackedModel, Stacking
from sparkmine.selection.trials import Trial

__all__ = [
    "Choice",
    "Distribution",
    "Fold",
    "Folds",
    "GroupKFold",
    "Integer",
    "KFold",
    "LogUniform",
    "SearchResult",
    "StackedModel",
    "Stacking",
    "StratifiedKFold",
    "TimeSeriesSplit",
    "Trial",
    "Uniform",
    "search",
]
