"""Outliers: how strange rows are by several methods, and which columns make them so."""

from sparkmine.mine.outliers.fitting import METHODS, Outliers
from sparkmine.mine.outliers.model import OutlierModel

__all__ = ["METHODS", "OutlierModel", "Outliers"]
