"""Mining: itemsets, rules, clusters, outliers, texts, supervised models, baselines, ensembles."""

from sparkmine.mine.baseline import (
    Constant,
    MajorityClass,
    Persistence,
    SingleRule,
    StratifiedRandom,
)
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.combined import CombinedModel
from sparkmine.mine.ensemble import Averaging, Voting
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.keywords import Keywords, KeywordsModel
from sparkmine.mine.kmeans import KMeans, KMeansModel, choose_k
from sparkmine.mine.outliers import OutlierModel, Outliers
from sparkmine.mine.recommend import recommend
from sparkmine.mine.rules import AssociationRules, association_rules
from sparkmine.mine.rules_model import RulesModel
from sparkmine.mine.scikit import ScikitLearn, ScikitLearnModel
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
from sparkmine.mine.topics import TopicChoice, Topics, TopicsModel, choose_topics
from sparkmine.mine.weights import best_weights

# The name under which textbooks introduce frequent itemsets; the result is the same.
apriori = frequent_itemsets

__all__ = [
    "AssociationRules",
    "Averaging",
    "Calibrated",
    "Calibration",
    "ClassModel",
    "CombinedModel",
    "Constant",
    "Costs",
    "Decided",
    "DecisionTree",
    "ExpressionModel",
    "GradientBoostedTrees",
    "KMeans",
    "KMeansModel",
    "Keywords",
    "KeywordsModel",
    "LinearRegression",
    "LinearSVM",
    "LogisticRegression",
    "MajorityClass",
    "NaiveBayes",
    "OutlierModel",
    "Outliers",
    "Persistence",
    "RandomForest",
    "RulesModel",
    "ScikitLearn",
    "ScikitLearnModel",
    "SingleRule",
    "StratifiedRandom",
    "TopicChoice",
    "Topics",
    "TopicsModel",
    "TreesModel",
    "Voting",
    "apriori",
    "association_rules",
    "best_weights",
    "choose_k",
    "choose_topics",
    "frequent_itemsets",
    "recommend",
]
