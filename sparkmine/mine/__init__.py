"""Mining: itemsets, rules, clusters, outliers, texts, classical models, baselines, ensembles."""

from sparkmine.mine.baseline import (
    Constant,
    MajorityClass,
    Persistence,
    SingleRule,
    StratifiedRandom,
)
from sparkmine.mine.class_model import ClassModel
from sparkmine.mine.classical import DecisionTree, LogisticRegression
from sparkmine.mine.ensemble import Averaging, Voting
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.keywords import Keywords, KeywordsModel
from sparkmine.mine.kmeans import KMeans, KMeansModel, choose_k
from sparkmine.mine.outliers import OutlierModel, Outliers
from sparkmine.mine.recommend import recommend
from sparkmine.mine.rules import association_rules
from sparkmine.mine.scikit import ScikitLearn, ScikitLearnModel
from sparkmine.mine.topics import TopicChoice, Topics, TopicsModel, choose_topics
from sparkmine.mine.weights import best_weights

# The name under which textbooks introduce frequent itemsets; the result is the same.
apriori = frequent_itemsets

__all__ = [
    "Averaging",
    "ClassModel",
    "Constant",
    "DecisionTree",
    "ExpressionModel",
    "KMeans",
    "KMeansModel",
    "Keywords",
    "KeywordsModel",
    "LogisticRegression",
    "MajorityClass",
    "OutlierModel",
    "Outliers",
    "Persistence",
    "ScikitLearn",
    "ScikitLearnModel",
    "SingleRule",
    "StratifiedRandom",
    "TopicChoice",
    "Topics",
    "TopicsModel",
    "Voting",
    "apriori",
    "association_rules",
    "best_weights",
    "choose_k",
    "choose_topics",
    "frequent_itemsets",
    "recommend",
]
