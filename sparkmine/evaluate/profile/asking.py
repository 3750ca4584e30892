"""What a profile asks of each column, all in one scan, and the answers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkmine.expr import Expr, col, function, lit, when
from sparkmine.recipe.columns import BOOLEAN, NUMBER, TEXT, TIME
from sparkmine.stats import Counts, Moments, Request, SelectedCounts, Sketch, StatEngine
from sparkmine.stats.missing import Missing, MissingState
from sparkmine.stats.moments import MomentsState
from sparkmine.stats.pairwise import Pairwise, PairwiseState
from sparkmine.stats.sketch import Bins

# The most frequent values that come to the driver, of every column.
TOP = 1000
# Columns whose pairs are correlated; the state grows with their square.
CORRELATED = 200
# Bins are finest near 0: times are counted from here (seconds), so that days are kept apart.
ORIGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC).timestamp()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column to ask about; `kind` is `number`, `text`, `boolean`, `time` or `other`."""

    name: str
    type: str
    kind: str
    floating: bool = False


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the engine said of one column; None where it was not asked.

    `moments` and `bins` are of the values, of texts' lengths, or of times since `ORIGIN`; `flags`
    are rows by what was looked for.
    """

    missing: MissingState
    counts: SelectedCounts | None = None
    moments: MomentsState | None = None
    bins: Bins | None = None
    flags: dict[str, int] = field(default_factory=dict)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.missing.rows - self.missing.missing


@dataclass(frozen=True, kw_only=True)
class Answered:
    """All columns, the pairs of `correlated`, and the scans it took."""

    columns: dict[str, Answers]
    correlated: tuple[str, ...]
    pairs: PairwiseState | None
    scans: int


def ask(engine: StatEngine, columns: Sequence[Column], now: datetime.datetime) -> Answered:
    """One scan, and another of single columns where the bins of quantiles must be finer."""
    asked: list[tuple[str, str]] = []
    requests: list[Request] = []
    for column in columns:
        for name, request in _requests(column, now).items():
            asked.append((column.name, name))
            requests.append(request)
    numbers = tuple(c.name for c in columns if c.kind in (NUMBER, BOOLEAN))
    correlated = numbers if 2 <= len(numbers) <= CORRELATED else ()
    if correlated:
        requests.append(Request(Pairwise(correlated), tuple(map(col, correlated))))
    found = engine.run(requests)
    answers: dict[str, dict[str, Any]] = {}
    for (column_name, name), answer in zip(asked, found, strict=False):
        answers.setdefault(column_name, {})[name] = answer
    return Answered(
        columns={name: _answers(mine) for name, mine in answers.items()},
        correlated=correlated,
        pairs=found[-1] if correlated else None,
        scans=engine.scans,
    )


def _requests(column: Column, now: datetime.datetime) -> dict[str, Request]:
    """What is asked of one column, by the names of `Answers` and of its flags."""
    name, value = column.name, col(column.name)

    def of(expr: Expr) -> dict[str, Request]:
        return {
            "moments": Request(Moments(name), (expr,)),
            "bins": Request(Sketch(name), (expr,)),
        }

    def flag(condition: Expr) -> Request:
        return Request(Moments(name), (when(condition, 1.0).otherwise(0.0),))

    asked = {"missing": Request(Missing(name), (value,))}
    counted = value
    match column.kind:
        case "number":
            asked |= of(value)
            if column.floating:  # NaN is missing, and -0.0 is 0.0
                counted = when(value.is_nan(), None).otherwise(value + 0.0)
        case "text":
            asked |= of(function("length", value))
            trimmed = function("trim", value)
            asked["blank"] = flag(function("length", trimmed) == 0)
            asked["padded"] = flag(function("length", trimmed) < function("length", value))
            # Not asked as moments: those of a cast are derived from the texts themselves.
            asked["numeric"] = Request(Missing(name), (value.cast("double"),))
        case "time":
            asked |= of(function("seconds", value) - ORIGIN)
            asked["future"] = flag(value > lit(now))
        case "boolean":
            pass
        case _:
            return asked
    return {**asked, "counts": Request(Counts(name, top_k=TOP), (counted,))}


def _answers(found: Mapping[str, Any]) -> Answers:
    flags = {}
    for name in ("blank", "padded", "future"):
        if name in found:
            state: MomentsState = found[name]
            flags[name] = round(state.mean * state.count)
    if "numeric" in found:
        flags["numeric"] = found["numeric"].rows - found["numeric"].missing
    return Answers(
        missing=found["missing"],
        counts=found.get("counts"),
        moments=found.get("moments"),
        bins=found.get("bins"),
        flags=flags,
    )


def kind_of(kind: str) -> str:
    """What a recipe's kind is to a profile."""
    return kind if kind in (NUMBER, TEXT, BOOLEAN, TIME) else "other"
