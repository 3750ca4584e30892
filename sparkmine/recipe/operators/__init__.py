"""All feature operators, one family a file. Public as `sparkmine.ops`."""

from sparkmine.recipe.operators.assemble import Assemble
from sparkmine.recipe.operators.bucket import BucketizeAt, BucketizeQuantile, BucketizeWidth
from sparkmine.recipe.operators.category import Cross, FrequencyEncode, HashEncode, MultiHot, OneHot
from sparkmine.recipe.operators.dates import CyclicDate, DateParts, TimeSince
from sparkmine.recipe.operators.expression import Expression
from sparkmine.recipe.operators.impute import (
    DropSparseColumns,
    ImputeByGroup,
    ImputeConstant,
    ImputeMean,
    ImputeMedian,
    ImputeMode,
    MissingIndicator,
)
from sparkmine.recipe.operators.index import OrdinalIndex
from sparkmine.recipe.operators.outliers import Clip, OutlierIndicator
from sparkmine.recipe.operators.pca import PCA
from sparkmine.recipe.operators.scale import (
    LogTransform,
    MaxAbsScale,
    MinMaxScale,
    PowerTransform,
    QuantileTransform,
    RobustScale,
    Standardize,
)
from sparkmine.recipe.operators.selection import SelectCorrelation, SelectKBest, SelectVariance
from sparkmine.recipe.operators.target import TargetEncode
from sparkmine.recipe.operators.text import HashTfIdf, TfIdf, TokenSequence

__all__ = [
    "PCA",
    "Assemble",
    "BucketizeAt",
    "BucketizeQuantile",
    "BucketizeWidth",
    "Clip",
    "Cross",
    "CyclicDate",
    "DateParts",
    "DropSparseColumns",
    "Expression",
    "FrequencyEncode",
    "HashEncode",
    "HashTfIdf",
    "ImputeByGroup",
    "ImputeConstant",
    "ImputeMean",
    "ImputeMedian",
    "ImputeMode",
    "LogTransform",
    "MaxAbsScale",
    "MinMaxScale",
    "MissingIndicator",
    "MultiHot",
    "OneHot",
    "OrdinalIndex",
    "OutlierIndicator",
    "PowerTransform",
    "QuantileTransform",
    "RobustScale",
    "SelectCorrelation",
    "SelectKBest",
    "SelectVariance",
    "Standardize",
    "TargetEncode",
    "TfIdf",
    "TimeSince",
    "TokenSequence",
]
