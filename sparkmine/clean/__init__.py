"""Reading sources with a declared schema, contracts, repairs, quarantine."""

from sparkmine.clean.checked import Checked
from sparkmine.clean.contract import (
    ColumnRule,
    Condition,
    Contract,
    Key,
    Reference,
    Unique,
)
from sparkmine.clean.quarantine import Tally, decide, quarantine
from sparkmine.clean.rules import Check, column_checks, expression_check, with_reasons
from sparkmine.clean.validation import Validation

__all__ = [
    "Check",
    "Checked",
    "ColumnRule",
    "Condition",
    "Contract",
    "Key",
    "Reference",
    "Tally",
    "Unique",
    "Validation",
    "column_checks",
    "decide",
    "expression_check",
    "quarantine",
    "with_reasons",
]
