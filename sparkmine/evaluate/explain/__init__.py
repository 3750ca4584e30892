"""What a fitted model does: importance, partial dependence, a surrogate, reasons for each row."""

from sparkmine.evaluate.explain.beside import Beside
from sparkmine.evaluate.explain.data import Example, Explanation
from sparkmine.evaluate.explain.dependence import Dependence, PartialDependence, Point
from sparkmine.evaluate.explain.features import Feature, features_of
from sparkmine.evaluate.explain.importance import Importance, Importances, PermutationImportance
from sparkmine.evaluate.explain.probe import Probe
from sparkmine.evaluate.explain.reasons import FittedReasons, Reasons
from sparkmine.evaluate.explain.shap_values import FittedShapReasons, ShapReasons
from sparkmine.evaluate.explain.surrogate import Rule, Surrogate, SurrogateTree

__all__ = [
    "Beside",
    "Dependence",
    "Example",
    "Explanation",
    "Feature",
    "FittedReasons",
    "FittedShapReasons",
    "Importance",
    "Importances",
    "PartialDependence",
    "PermutationImportance",
    "Point",
    "Probe",
    "Reasons",
    "Rule",
    "ShapReasons",
    "Surrogate",
    "SurrogateTree",
    "features_of",
]
