"""Mining: association rules, classical models, baselines and ensembles."""

from sparkmine.mine.baseline import MajorityClass, Persistence
from sparkmine.mine.classical import DecisionTree, LogisticRegression
from sparkmine.mine.ensemble import Averaging, Voting
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.rules import association_rules

__all__ = [
    "Averaging",
    "DecisionTree",
    "ExpressionModel",
    "LogisticRegression",
    "MajorityClass",
    "Persistence",
    "Voting",
    "association_rules",
    "frequent_itemsets",
]
