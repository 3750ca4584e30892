"""The rounds of a fit: which operators can ask now, and what each column is at every position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, Vocabulary, col
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.fitted import FittedStep
from sparkmine.recipe.operator import Extended, Fitting, Operator, Outcome
from sparkmine.stats import ColumnStat, Request, Stat, origin

if TYPE_CHECKING:
    from sparkmine.recipe.recipe import Recipe


class Rounds:
    """The state of one fit: which operators are done, and what each column is in terms of the
    table's columns at every position."""

    def __init__(
        self,
        recipe: Recipe,
        columns: list[ColumnInfo],
        previous: Sequence[FittedStep] = (),
        extended: Extended = Vocabulary.extended,
    ) -> None:
        self.recipe = recipe
        self.previous = previous
        self.extended = extended
        self.columns = columns
        self.steps: list[FittedStep | None] = [None] * len(recipe.operators)
        self._fits: dict[int, Fitting] = {}
        self._waiting: dict[int, tuple[list[Stat], list[Request]]] = {}

    def advance(self) -> list[Request] | None:
        """Start every operator that can start; the requests of this round, or None at the end."""
        progress = True
        while progress:
            progress = False
            for index in range(len(self.steps)):
                if self.steps[index] is None and index not in self._fits and self._ready(index):
                    self._start(index)
                    progress = progress or self.steps[index] is not None
        if not self._waiting:
            return None
        return [request for _, requests in self._waiting.values() for request in requests]

    def ahead(self) -> list[Request]:
        """What operators that cannot start yet will ask of columns that are only filled or mapped
        affinely before: it can be derived from the statistics of the table's own columns."""
        found: list[Request] = []
        for index, operator in enumerate(self.recipe.operators):
            if self.steps[index] is None and index not in self._fits:
                found += self._ahead(index, operator)
        return found

    def _ahead(self, index: int, operator: Operator) -> list[Request]:
        visible = self._view(index)
        try:
            picked = operator.columns.pick(visible.columns)
        except RecipeError:
            return []  # a column that only a fit will make
        known, found = self._inputs(index), []
        for stat in first_stats(operator, picked, self.recipe.label):
            if isinstance(stat, ColumnStat) and stat.column not in visible.opaque:
                expr = known.get(stat.column, col(stat.column))
                if origin(expr) is not None:
                    found.append(Request(stat, (expr,)))
        return found

    def asking(self, requests: Sequence[Request]) -> list[str]:
        """The operators that wait for the answers of these requests."""
        keys = {request.key for request in requests}
        return [
            f"operator {index + 1} ({type(self.recipe.operators[index]).__name__})"
            for index, (_, asked) in self._waiting.items()
            if any(request.key in keys for request in asked)
        ]

    def receive(self, answers: list[object]) -> None:
        """Hand the answers of a round to the operators that asked."""
        current, self._waiting = self._waiting, {}
        position = 0
        for index, (stats, _) in current.items():
            share = answers[position : position + len(stats)]
            position += len(stats)
            self._send(index, share)

    def _view(self, index: int) -> View:
        return view(self.recipe, self.columns, self.steps, index)

    def _ready(self, index: int) -> bool:
        """True when every column of the operator is final at its position."""
        operator = self.recipe.operators[index]
        selector = operator.columns
        unfitted = any(step is None for step in self.steps[:index])
        try:
            visible = self._view(index)
            picked = selector.pick(visible.columns)
        except RecipeError:
            # A column may be made by a step that is not fitted yet. If there is none, the error
            # is real, and the start raises it with its place.
            return not unfitted
        patterns = unfitted and selector.reads_patterns()
        return not patterns and not any(
            name in visible.pending
            for name in (*operator.reads, *(column.name for column in picked))
        )

    def _start(self, index: int) -> None:
        operator = self.recipe.operators[index]
        try:
            picked = operator.columns.pick(self._view(index).columns)
        except RecipeError as error:
            raise RecipeError(
                f"operator {index + 1} ({type(operator).__name__}): {error.text}"
            ) from None
        self._fits[index] = operator.fitting(picked, self.recipe.label)
        self._send(index, None)

    def _send(self, index: int, answers: list[object] | None) -> None:
        try:
            stats = self._fits[index].send(answers)  # type: ignore[arg-type]
            while not stats:
                stats = self._fits[index].send([])
        except StopIteration as stop:
            self._finish(index, stop.value)
            return
        inputs = self._inputs(index)
        requests = [Request(s, tuple(inputs.get(c, col(c)) for c in s.columns)) for s in stats]
        self._waiting[index] = (stats, requests)

    def _inputs(self, index: int) -> dict[str, Expr]:
        """Columns at a position as expressions over the table's own columns."""
        known: dict[str, Expr] = {}
        for step in self.steps[:index]:
            if step is not None:
                made = {**step.outcome.outputs, **step.outcome.training}
                composed = {name: expr.substitute(known) for name, expr in made.items()}
                known.update(composed)
        return known

    def _finish(self, index: int, outcome: Outcome) -> None:
        operator = self.recipe.operators[index]
        made = [*outcome.outputs, *outcome.blocks]
        clash = [name for name in made if name in self.recipe.untouched]
        if operator.output is not None or outcome.dropped:
            present = {c.name for c in self._view(index).columns} - set(outcome.dropped)
            clash += [name for name in made if name in present]
        if clash:
            raise RecipeError(
                f"operator {index + 1} ({type(operator).__name__}) would write column "
                f"{clash[0]!r}, which is there already; give it another output="
            )
        if self.previous:
            before = self.previous[index].outcome
            outcome = operator.continued(before, outcome, self.extended)
        self.steps[index] = FittedStep(operator.dotted(), operator.parameters(), outcome)


@dataclass(frozen=True)
class View:
    """What is known of the columns at one position of a recipe that is partly fitted.

    Attributes:
        columns: The columns that an operator there may select.
        pending: Columns that unfitted steps touch; the last such step.
        opaque: Those of them that are more than filled or mapped affinely.
    """

    columns: list[ColumnInfo]
    pending: dict[str, int]
    opaque: set[str]


def view(
    recipe: Recipe, columns: Sequence[ColumnInfo], steps: Sequence[FittedStep | None], index: int
) -> View:
    """The columns at position `index`."""
    known = {column.name: column for column in columns if column.name not in recipe.untouched}
    pending: dict[str, int] = {}
    opaque: set[str] = set()
    for number, step in enumerate(steps[:index]):
        if step is not None:
            dropped, made = step.outcome.dropped, list(step.outcome.infos.values())
        else:
            operator = recipe.operators[number]
            picked = operator.columns.pick(list(known.values()))
            made, dropped = operator.predicted(picked)
            touched = [info.name for info in made]
            if operator.output is None or dropped or not made:
                touched += [column.name for column in picked]
            pending.update(dict.fromkeys(touched, number))
            if not (operator.derivable and operator.output is None):
                opaque.update(touched)
        for name in dropped:
            known.pop(name, None)
        known.update({info.name: info for info in made})
    return View(list(known.values()), pending, opaque)


def first_stats(operator: Operator, picked: Sequence[ColumnInfo], label: str | None) -> list[Stat]:
    """The stats that an operator asks for first."""
    try:
        return operator.fitting(picked, label).send(None)  # type: ignore[arg-type]
    except StopIteration:
        return []
