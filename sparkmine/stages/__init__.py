"""Stage kinds: one YAML block each. Importing this package registers all of them."""

from sparkmine.stages.base import STAGES, Context, Result, Stage
from sparkmine.stages.baseline import Baseline
from sparkmine.stages.champion import Champion
from sparkmine.stages.classical import Classical
from sparkmine.stages.clean import Clean
from sparkmine.stages.dedup import Dedup
from sparkmine.stages.ensemble import Ensemble
from sparkmine.stages.evaluate import Evaluate
from sparkmine.stages.explain import Explain
from sparkmine.stages.features import Features
from sparkmine.stages.fuzzy_records import FuzzyRecords
from sparkmine.stages.ingest import Ingest
from sparkmine.stages.itemsets import Itemsets
from sparkmine.stages.keywords import Keywords
from sparkmine.stages.kmeans import KMeans
from sparkmine.stages.leakage import Leakage
from sparkmine.stages.near_duplicates import NearDuplicates
from sparkmine.stages.outliers import Outliers
from sparkmine.stages.predict import Predict
from sparkmine.stages.query import Query
from sparkmine.stages.recommend import Recommend
from sparkmine.stages.report import Report
from sparkmine.stages.rules import Rules
from sparkmine.stages.search import Search
from sparkmine.stages.stacking import Stacking
from sparkmine.stages.topics import Topics
from sparkmine.stages.train import Train

__all__ = [
    "STAGES",
    "Baseline",
    "Champion",
    "Classical",
    "Clean",
    "Context",
    "Dedup",
    "Ensemble",
    "Evaluate",
    "Explain",
    "Features",
    "FuzzyRecords",
    "Ingest",
    "Itemsets",
    "KMeans",
    "Keywords",
    "Leakage",
    "NearDuplicates",
    "Outliers",
    "Predict",
    "Query",
    "Recommend",
    "Report",
    "Result",
    "Rules",
    "Search",
    "Stacking",
    "Stage",
    "Topics",
    "Train",
]
