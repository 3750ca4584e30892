"""The rounds of a fit as text, as far as the schema tells; nothing is scanned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkmine.errors import RecipeError
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.fitted import FittedStep
from sparkmine.recipe.operator import Operator
from sparkmine.recipe.rounds import View, first_stats, view
from sparkmine.stats import ColumnStat, Stat

if TYPE_CHECKING:
    from sparkmine.recipe.recipe import Recipe


def plan(recipe: Recipe, columns: Sequence[ColumnInfo]) -> str:
    """Find the round of each operator from the columns that operators before it touch."""
    found: list[_Planned] = []
    unfitted: list[FittedStep | None] = [None] * len(recipe.operators)
    for index, operator in enumerate(recipe.operators):
        try:
            visible = view(recipe, columns, unfitted, index)
            picked = operator.columns.pick(visible.columns)
        except RecipeError:
            if not any(step.opens for step in found):
                raise
            found.append(_Planned(operator, after=max(step.last for step in found), known=False))
            continue
        found.append(_planned(recipe, visible, picked, found))
    return "\n".join(_lines(found))


@dataclass(frozen=True)
class _Planned:
    """When an operator is fitted, as far as the schema tells.

    Attributes:
        after: The round after which it can ask.
        first, last: The rounds in which it asks; `last` is `after` if no scan is its own.
        waits: Names of the operators it waits for.
        opens: Only its fit tells which columns are behind it.
        known: False if only the fit of operators before tells which columns it has.
    """

    operator: Operator
    after: int = 0
    first: int = 0
    last: int = 0
    stats: Sequence[Stat] = ()
    picked: int = 0
    about: bool = False
    derived: bool = False
    waits: tuple[str, ...] = ()
    opens: bool = False
    known: bool = True


def _planned(
    recipe: Recipe, visible: View, picked: Sequence[ColumnInfo], before: Sequence[_Planned]
) -> _Planned:
    operator = recipe.operators[len(before)]
    names = [*operator.reads, *(column.name for column in picked)]
    behind = sorted({visible.pending[name] for name in names if name in visible.pending})
    if operator.columns.reads_patterns():
        behind = [index for index, step in enumerate(before) if step.last]
    after = max((before[index].last for index in behind), default=0)
    stats = first_stats(operator, picked, recipe.label)
    derived = after > 0 and all(
        isinstance(stat, ColumnStat) and stat.column not in visible.opaque for stat in stats
    )
    first = after if derived else after + 1
    made, dropped = operator.predicted(picked)
    return _Planned(
        operator,
        after,
        first,
        first + operator.asks - 1 if stats else after,
        stats,
        len(picked),
        any(before[index].opens for index in behind),
        derived,
        tuple(type(recipe.operators[i]).__name__ for i in behind if before[i].last == after),
        bool(stats and picked and (dropped or not made)),
    )


def _lines(found: Sequence[_Planned]) -> list[str]:
    rounds: dict[int, list[str]] = {}
    none: list[str] = []
    for number, step in enumerate(found, start=1):
        name = f"{number} {type(step.operator).__name__}({step.operator.columns})"
        if not step.known:
            none.append(f"after round {step.after}, when its columns are known: {name}")
        elif not step.stats:
            none.append(f"no scan: {name}" + ("" if step.picked else ", which selects no column"))
        else:
            rounds.setdefault(step.first, []).append(f"  {name}: {_asked(step)}")
            for again in range(step.first + 1, step.last + 1):
                rounds.setdefault(again, []).append(f"  {name}: asks again")
    lines = []
    for number, entries in sorted(rounds.items()):
        lines += [f"round {number} (1 scan)", *entries]
    keyed = sum(stat.keyed for step in found for stat in step.stats)
    least = "" if all(step.known for step in found) else "at least "
    shuffled = f", the counts of {_number(keyed, 'column')} are shuffled" if keyed else ""
    total = f"{least}{_number(len(rounds), 'scan')} of the table{shuffled}"
    return [*lines, *none, total]


def _asked(step: _Planned) -> str:
    """What an operator asks first, such as `Moments of 3 columns`."""
    kinds = " and ".join(sorted({type(stat).__name__ for stat in step.stats}))
    number = ("about " if step.about else "") + _number(step.picked, "column")
    if step.derived:
        return f"{kinds} of {number}, derived from this scan"
    waits = f", after {' and '.join(dict.fromkeys(step.waits))}" if step.waits else ""
    return f"{kinds} of {number}{waits}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
