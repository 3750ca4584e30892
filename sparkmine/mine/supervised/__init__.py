"""Supervised models for data larger than memory, fitted by Spark ML and scored without it."""

from sparkmine.mine.supervised.bayes import NaiveBayes
from sparkmine.mine.supervised.calibration import Calibrated, Calibration
from sparkmine.mine.supervised.costs import Costs, Decided
from sparkmine.mine.supervised.linear import LinearRegression
from sparkmine.mine.supervised.logistic import LogisticRegression
from sparkmine.mine.supervised.svm import LinearSVM
from sparkmine.mine.supervised.trees import DecisionTree, GradientBoostedTrees, RandomForest
from sparkmine.mine.supervised.trees_model import TreesModel

__all__ = [
    "Calibrated",
    "Calibration",
    "Costs",
    "Decided",
    "DecisionTree",
    "GradientBoostedTrees",
    "LinearRegression",
    "LinearSVM",
    "LogisticRegression",
    "NaiveBayes",
    "RandomForest",
    "TreesModel",
]
