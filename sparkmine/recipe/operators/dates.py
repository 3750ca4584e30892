"""Dates and timestamps to numbers.

In UTC; a date is the start of its day. Null gives null. Nothing is fitted, so there are no unseen
values.
"""

from __future__ import annotations

import datetime
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, col, function, lit
from sparkmine.recipe.columns import NUMBER, ColumnInfo
from sparkmine.recipe.operator import ColumnOperator, Fitting, Operator, Outcome
from sparkmine.recipe.selectors import Selector, temporal

PARTS = ("year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute")
# The length of each period, and its first value.
PERIODS = {"weekday": (7.0, 0), "month": (12.0, 1), "hour": (24.0, 0), "day_of_year": (365.25, 1)}
UNITS = {"seconds": 1.0, "hours": 3600.0, "days": 86400.0}


@dataclass(frozen=True, kw_only=True)
class _Parts(Operator):
    """Base of operators that make several columns of each date and remove it."""

    columns: Selector = field(default_factory=temporal)
    keep_source: bool = False

    def _no_output(self) -> None:
        if self.output is not None:
            raise RecipeError(f"{type(self).__name__} names its columns itself; leave out output=")

    @abstractmethod
    def made(self, column: str) -> dict[str, Expr]:
        """The expressions, by the names of their columns."""

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        infos = [
            ColumnInfo(name, NUMBER, None, (c.name,)) for c in picked for name in self.made(c.name)
        ]
        return infos, () if self.keep_source else tuple(column.name for column in picked)

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        yield from ()
        infos, dropped = self.predicted(picked)
        outputs = {name: expr for c in picked for name, expr in self.made(c.name).items()}
        return Outcome(outputs=outputs, infos={info.name: info for info in infos}, dropped=dropped)


@dataclass(frozen=True, kw_only=True)
class DateParts(_Parts):
    """One whole number for each of `parts`, in columns `{column}_{part}`; the date is removed.

    Parts are year, quarter, month, day, weekday (Monday is 0), day_of_year, hour and minute.
    `keep_source` keeps the date. Null gives null in all of them.
    """

    parts: Sequence[str] = ("year", "month", "day", "weekday")

    def __post_init__(self) -> None:
        self._no_output()
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            raise RecipeError(
                f"DateParts wants parts= of {', '.join(PARTS)}, not {list(self.parts)}"
            )
        object.__setattr__(self, "parts", list(self.parts))  # as JSON and YAML have it

    def made(self, column: str) -> dict[str, Expr]:
        return {f"{column}_{part}": function(part, col(column)) for part in self.parts}


@dataclass(frozen=True, kw_only=True)
class CyclicDate(_Parts):
    """The place in a period as a point on a circle, so that its end is near its start.

    Columns `{column}_{period}_sin` and `{column}_{period}_cos`; the date is removed unless
    `keep_source`. `period` is weekday, month, hour or day_of_year (a year has 365.25 days). Null
    gives null in both.
    """

    period: str = "weekday"

    def __post_init__(self) -> None:
        self._no_output()
        if self.period not in PERIODS:
            raise RecipeError(
                f"CyclicDate wants period as {', '.join(PERIODS)}, not {self.period!r}"
            )

    def made(self, column: str) -> dict[str, Expr]:
        length, first = PERIODS[self.period]
        angle = (function(self.period, col(column)) - first) * (2.0 * math.pi / length)
        return {f"{column}_{self.period}_{name}": function(name, angle) for name in ("sin", "cos")}


@dataclass(frozen=True, kw_only=True)
class TimeSince(ColumnOperator):
    """The time from a fixed moment or from another column, in days, hours or seconds.

    `since` is a date or timestamp as text, such as `2020-01-01` (UTC unless it names a zone);
    `since_column` is a column of dates or timestamps. Null in either gives null; earlier moments
    are negative.
    """

    example: ClassVar[str] = "columns: [last_visit], since: 2020-01-01, unit: hours"
    columns: Selector = field(default_factory=temporal)
    output: str | None = "{}_since"
    since: str | None = None
    since_column: str | None = None
    unit: str = "days"

    def __post_init__(self) -> None:
        if isinstance(self.since, datetime.date):  # YAML reads a date as one
            object.__setattr__(self, "since", self.since.isoformat())
        if (self.since is None) == (self.since_column is None):
            raise RecipeError("TimeSince wants either since= or since_column=")
        if self.unit not in UNITS:
            raise RecipeError(f"TimeSince wants unit as {', '.join(UNITS)}, not {self.unit!r}")
        if self.since is not None:
            _moment(self.since)

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns beside `columns` whose values it needs."""
        return () if self.since_column is None else (self.since_column,)

    def fit(self, column: str) -> Expr:
        if self.since_column is not None:
            start = function("seconds", col(self.since_column))
        else:
            start = lit(_moment(str(self.since)).timestamp())
        return (function("seconds", col(column)) - start) / UNITS[self.unit]


def _moment(text: str) -> datetime.datetime:
    try:
        found = datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise RecipeError(
            f"TimeSince wants since= as a date or timestamp such as 2020-01-01, not {text!r}"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
