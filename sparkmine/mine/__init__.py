"""Mining: itemsets, rules, clusters, outliers, supervised models, baselines and ensembles."""

from sparkmine.mine.baseline import (
    Constant,
    MajorityClass,
    Persistence,
    SingleRule,
    StratifiedRandom,
)
from sparkmine.mine.ensemble import Averaging, Voting
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.kmeans import KMeans, KMeansModel, choose_k
from sparkmine.mine.outliers import OutlierModel, Outliers
from sparkmine.mine.recommend import recommend
from sparkmine.mine.rules import association_rules
from sparkmine.mine.supervised import (
    Calibrated,
    Calibration,
    Costs,
    Decided,
    DecisionTree,
    GradientBoostedTrees,
    LinearRegression,
    LinearSVM,
    LogisticRegression,
    NaiveBayes,
    RandomForest,
    TreesModel,
)

# The name under which textbooks introduce frequent itemsets; the result is the same.
apriori = frequent_itemsets

__all__ = [
    "Averaging",
    "Calibrated",
    "Calibration",
    "Constant",
    "Costs",
    "Decided",
    "DecisionTree",
    "ExpressionModel",
    "GradientBoostedTrees",
    "KMeans",
    "KMeansModel",
    "LinearRegression",
    "LinearSVM",
    "LogisticRegression",
    "MajorityClass",
    "NaiveBayes",
    "OutlierModel",
    "Outliers",
    "Persistence",
    "RandomForest",
    "SingleRule",
    "StratifiedRandom",
    "TreesModel",
    "Voting",
    "apriori",
    "association_rules",
    "choose_k",
    "frequent_itemsets",
    "recommend",
]
