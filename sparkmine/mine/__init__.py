"""Mining: itemsets and association rules, classical models, baselines and ensembles."""

from sparkmine.mine.baseline import MajorityClass, Persistence
from sparkmine.mine.classical import DecisionTree, LogisticRegression
from sparkmine.mine.ensemble import Averaging, Voting
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.recommend import recommend
from sparkmine.mine.rules import association_rules

# The name under which textbooks introduce frequent itemsets; the result is the same.
apriori = frequent_itemsets

__all__ = [
    "Averaging",
    "DecisionTree",
    "ExpressionModel",
    "LogisticRegression",
    "MajorityClass",
    "Persistence",
    "Voting",
    "apriori",
    "association_rules",
    "frequent_itemsets",
    "recommend",
]
