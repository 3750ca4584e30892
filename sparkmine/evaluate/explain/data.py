"""All that was found of one model, as plain data: what a stage leaves and the report shows."""

from __future__ import annotations

from dataclasses import dataclass

from sparkmine.evaluate.explain.dependence import Dependence
from sparkmine.evaluate.explain.importance import Importances
from sparkmine.evaluate.explain.surrogate import Surrogate
from sparkmine.evaluate.plain import PlainData


@dataclass(frozen=True, kw_only=True)
class Example(PlainData):
    """One row with its reasons; `label` is the class that is explained, of several."""

    row: str
    prediction: float
    reasons: tuple[str, ...]
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation(PlainData):
    """What explains one model.

    Fields:
        table: of the rows; `where` which of them.
        rows: of the sample; `left_out` had no score.
        expected: the mean prediction that reasons start from; None without, or of several classes.
        classes: names of the outputs; empty where there is one.
    """

    model: str
    table: str
    where: str
    task: str
    rows: int
    left_out: int = 0
    importances: Importances
    dependence: tuple[Dependence, ...] = ()
    surrogate: Surrogate | None = None
    expected: float | None = None
    examples: tuple[Example, ...] = ()
    classes: tuple[str, ...] = ()
