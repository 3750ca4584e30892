"""All feature operators, one family a file. Public as `sparkmine.ops`."""

from sparkmine.recipe.operators.bucket import BucketizeQuantile
from sparkmine.recipe.operators.category import OneHot
from sparkmine.recipe.operators.impute import (
    DropSparseColumns,
    ImputeByGroup,
    ImputeConstant,
    ImputeMean,
    ImputeMedian,
    ImputeMode,
    MissingIndicator,
)
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
from sparkmine.recipe.operators.selection import SelectKBest, SelectVariance

__all__ = [
    "PCA",
    "BucketizeQuantile",
    "Clip",
    "DropSparseColumns",
    "ImputeByGroup",
    "ImputeConstant",
    "ImputeMean",
    "ImputeMedian",
    "ImputeMode",
    "LogTransform",
    "MaxAbsScale",
    "MinMaxScale",
    "MissingIndicator",
    "OneHot",
    "OutlierIndicator",
    "PowerTransform",
    "QuantileTransform",
    "RobustScale",
    "SelectKBest",
    "SelectVariance",
    "Standardize",
]
