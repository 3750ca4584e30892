"""Estimators of scikit-learn, and of packages that follow its interface, on rows of a table."""

from sparkmine.mine.scikit.estimator import ScikitLearn, fit_parts, opened
from sparkmine.mine.scikit.model import ScikitLearnModel

__all__ = ["ScikitLearn", "ScikitLearnModel", "fit_parts", "opened"]
