"""Mining: association rules, clusters, classical models, baselines and ensembles."""

from sparkmine.mine.baseline import (
    Constant,
    MajorityClass,
    Persistence,
    SingleRule,
    StratifiedRandom,
)
from sparkmine.mine.classical import DecisionTree, LogisticRegression
from sparkmine.mine.ensemble import Averaging, Voting
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.kmeans import KMeans, KMeansModel, choose_k
from sparkmine.mine.rules import association_rules

__all__ = [
    "Averaging",
    "Constant",
    "DecisionTree",
    "ExpressionModel",
    "KMeans",
    "KMeansModel",
    "LogisticRegression",
    "MajorityClass",
    "Persistence",
    "SingleRule",
    "StratifiedRandom",
    "Voting",
    "association_rules",
    "choose_k",
    "frequent_itemsets",
]
