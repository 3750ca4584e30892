"""Reading sources with a declared schema, row rules, quarantine."""

from sparkmine.clean.quarantine import Tally, decide, quarantine
from sparkmine.clean.rules import Check, column_checks, expression_check, with_reasons

__all__ = [
    "Check",
    "Tally",
    "column_checks",
    "decide",
    "expression_check",
    "quarantine",
    "with_reasons",
]
