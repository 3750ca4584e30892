"""Recipes of feature operators: fitted in one scan a round, run on Spark or on Arrow."""

from sparkmine.recipe import operators
from sparkmine.recipe.fitted import FittedRecipe
from sparkmine.recipe.operator import ColumnOperator, Operator, operator_from
from sparkmine.recipe.recipe import Recipe
from sparkmine.recipe.selectors import Selector, parse_selector

__all__ = [
    "ColumnOperator",
    "FittedRecipe",
    "Operator",
    "Recipe",
    "Selector",
    "operator_from",
    "operators",
    "parse_selector",
]
