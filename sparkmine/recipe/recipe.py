"""A recipe: operators in order. Fitting it costs one scan for each round of dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col
from sparkmine.lake import Snapshot
from sparkmine.recipe.columns import ColumnInfo, columns_of
from sparkmine.recipe.fitted import FittedRecipe, FittedStep
from sparkmine.recipe.operator import Fitting, Operator, Outcome
from sparkmine.stats import Request, Stat, StatEngine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


class Recipe:
    """Feature operators in order.

    Args:
        operators: Each sees the columns as the ones before leave them.
        keys: Columns that identify a row; never selected, kept as they are.
        label: The target; never selected, kept as it is, given to operators that relate to it.
        keep: Further columns that pass through untouched, such as those that split periods.
    """

    def __init__(
        self,
        *operators: Operator,
        keys: Sequence[str] = (),
        label: str | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        for operator in operators:
            if not isinstance(operator, Operator):
                raise RecipeError(f"{operator!r} is not an operator")
        self.operators = operators
        self.keys = tuple(keys)
        self.label = label
        self.keep = tuple(keep)

    @property
    def untouched(self) -> tuple[str, ...]:
        """Columns that no selector sees."""
        return (*self.keys, *([self.label] if self.label else []), *self.keep)

    def fit(self, source: Snapshot | DataFrame, spark: SparkSession | None = None) -> FittedRecipe:
        """Learn every operator's values from a snapshot or a DataFrame.

        Raises:
            RecipeError: columns are missing, or two operators clash.
            DataError: values that an operator cannot work on.
        """
        session = _session(source, spark)
        engine = StatEngine(source, session)
        schema = source.schema
        self._check(schema)
        run = _Run(self, columns_of(schema))
        try:
            while (requests := run.advance()) is not None:
                run.receive(engine.run(requests))
        finally:
            engine.close()
        steps = [step for step in run.steps if step is not None]
        inputs = {field.name: field.dataType.simpleString() for field in schema.fields}
        return FittedRecipe(steps, inputs, self.untouched, scans=engine.scans)

    def plan(self, schema: StructType) -> str:
        """The rounds of the fit as text: operators and their statistics. Nothing is scanned.

        Operators behind one whose columns are known only after its fit are listed as waiting.
        """
        self._check(schema)
        return _plan(self, columns_of(schema))

    def _check(self, schema: StructType) -> None:
        missing = [name for name in self.untouched if name not in schema.names]
        if missing:
            raise RecipeError(
                f"the data has no column {missing[0]!r} (key, label or keep); it has {schema.names}"
            )


class _Run:
    """The state of one fit: which operators are done, and what each column is in terms of the
    table's columns at every position."""

    def __init__(self, recipe: Recipe, columns: list[ColumnInfo]) -> None:
        self.recipe = recipe
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

    def receive(self, answers: list[object]) -> None:
        """Hand the answers of a round to the operators that asked."""
        current, self._waiting = self._waiting, {}
        position = 0
        for index, (stats, _) in current.items():
            share = answers[position : position + len(stats)]
            position += len(stats)
            self._send(index, share)

    def _view(self, index: int) -> tuple[list[ColumnInfo], dict[str, int]]:
        """The columns at a position, and which of them an unfitted step still writes."""
        return _view(self.recipe, self.columns, self.steps, index)

    def _ready(self, index: int) -> bool:
        """True when every column of the operator is final at its position."""
        selector = self.recipe.operators[index].columns
        unfitted = any(step is None for step in self.steps[:index])
        try:
            visible, pending = self._view(index)
            picked = selector.pick(visible)
        except RecipeError:
            # A column may be made by a step that is not fitted yet. If there is none, the error
            # is real, and the start raises it with its place.
            return not unfitted
        patterns = unfitted and selector.reads_patterns()
        return not patterns and not any(column.name in pending for column in picked)

    def _start(self, index: int) -> None:
        operator = self.recipe.operators[index]
        try:
            picked = operator.columns.pick(self._view(index)[0])
        except RecipeError as error:
            raise RecipeError(
                f"operator {index + 1} ({type(operator).__name__}): {error}"
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
                composed = {n: e.substitute(known) for n, e in step.outcome.outputs.items()}
                known.update(composed)
        return known

    def _finish(self, index: int, outcome: Outcome) -> None:
        operator = self.recipe.operators[index]
        made = [*outcome.outputs, *outcome.blocks]
        clash = [name for name in made if name in self.recipe.untouched]
        if operator.output is not None or outcome.dropped:
            present = {c.name for c in self._view(index)[0]} - set(outcome.dropped)
            clash += [name for name in made if name in present]
        if clash:
            raise RecipeError(
                f"operator {index + 1} ({type(operator).__name__}) would write column "
                f"{clash[0]!r}, which is there already; give it another output="
            )
        name = f"{type(operator).__module__}:{type(operator).__qualname__}"
        self.steps[index] = FittedStep(name, operator.parameters(), outcome)


def _view(
    recipe: Recipe, columns: Sequence[ColumnInfo], steps: Sequence[FittedStep | None], index: int
) -> tuple[list[ColumnInfo], dict[str, int]]:
    """Columns at position `index`; for those that unfitted steps touch, the last such step."""
    known = {column.name: column for column in columns if column.name not in recipe.untouched}
    pending: dict[str, int] = {}
    for number, step in enumerate(steps[:index]):
        if step is not None:
            dropped, made = step.outcome.dropped, list(step.outcome.infos.values())
        else:
            operator = recipe.operators[number]
            picked = operator.columns.pick(list(known.values()))
            made, dropped = operator.predicted(picked)
            if operator.output is None or dropped or not made:
                pending.update({column.name: number for column in picked})
            pending.update({info.name: number for info in made})
        for name in dropped:
            known.pop(name, None)
        known.update({info.name: info for info in made})
    return list(known.values()), pending


def _plan(recipe: Recipe, columns: Sequence[ColumnInfo]) -> str:
    """Find the round of each operator from the columns that operators before it touch."""
    rounds: dict[int, list[str]] = {}
    last: list[int] = []  # the round after which each operator is fitted
    unfitted: list[FittedStep | None] = [None] * len(recipe.operators)
    for index, operator in enumerate(recipe.operators):
        visible, pending = _view(recipe, columns, unfitted, index)
        picked = operator.columns.pick(visible)
        if operator.columns.reads_patterns():
            after = max(last, default=0)
        else:
            after = max((last[pending[c.name]] for c in picked if c.name in pending), default=0)
        try:
            stats = operator.fitting(picked, recipe.label).send(None)  # type: ignore[arg-type]
        except StopIteration:
            last.append(after)
            continue
        kinds = ", ".join(sorted({type(stat).__name__ for stat in stats}))
        entry = f"  {type(operator).__name__}({operator.columns}): {len(stats)} × {kinds}"
        rounds.setdefault(after + 1, []).append(entry)
        last.append(after + 1)
    keyed = sum("Counts" in entry for entries in rounds.values() for entry in entries)
    lines = []
    for number, entries in sorted(rounds.items()):
        lines += [f"round {number} (1 scan)", *entries]
    return "\n".join([*lines, f"{len(rounds)} scans, {keyed} shuffles of category counts"])


def _session(source: Snapshot | DataFrame, spark: SparkSession | None) -> SparkSession:
    from pyspark.sql import SparkSession

    found = spark or (
        SparkSession.getActiveSession() if isinstance(source, Snapshot) else source.sparkSession
    )
    if found is None:
        raise RecipeError("fitting on a snapshot needs a running session: call sparkmine.session()")
    return found
