"""What is suspicious in a column, each with its rows and an example."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sparkmine.evaluate.metrics import percent
from sparkmine.evaluate.profile.asking import ORIGIN, Answers, Column
from sparkmine.evaluate.profile.data import (
    NOTE,
    WARNING,
    ColumnProfile,
    Correlations,
    Finding,
)
from sparkmine.evaluate.profile.facts import middles, number_text, shown
from sparkmine.stats.sketch import Bins

MANY_MISSING = 0.2
NEARLY_CONSTANT = 0.99
FAR_OUT = 0.001
SKEWED = 3.0
CORRELATED = 0.95
# Numbers that stand for "no value" where they lie far from all others.
SENTINELS = tuple(
    sign * float(digits)
    for digits in ("99", "999", "9999", "99999", "999999", "9999999", "88", "888", "8888", "-1")
    for sign in (1, -1)
)
# The days that programs write when they have none.
SENTINEL_DAYS = (
    *("0001-01-01", "1753-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01"),
    *("1970-01-01", "2099-12-31", "2999-12-31", "9999-12-31"),
)
PLACEHOLDERS = frozenset(
    ("n/a", "na", "n.a.", "#n/a", "nan", "null", "none", "nil", "missing", "unknown", "undefined")
) | {"-", "--", ".", "?", "tbd", "(null)", "<null>", "\\n", "not available", "not applicable"}
_ISO_DAY = re.compile(r"\s*\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?\s*$")


def findings(column: Column, answers: Answers, profile: ColumnProfile) -> tuple[Finding, ...]:
    """All that is suspicious in one column, warnings first."""
    rows = answers.missing.rows
    found = [
        replace(
            one,
            column=column.name,
            share=None if one.rows is None or not rows else one.rows / rows,
        )
        for one in _found(column, answers, profile)
    ]
    return ordered(found)


def ordered(found: list[Finding]) -> tuple[Finding, ...]:
    """Warnings first, those of many rows before others."""
    return tuple(sorted(found, key=lambda one: (one.severity != WARNING, -(one.share or 0.0))))


def pairs(correlations: Correlations) -> list[Finding]:
    """Columns that say nearly the same."""
    return [
        Finding(
            column=one,
            code="correlated",
            severity=NOTE,
            text=f"nearly a linear function of {other}: correlation {value:.3f}",
        )
        for one, other, value in correlations.strongest(20)
        if abs(value) >= CORRELATED
    ]


def _found(column: Column, answers: Answers, profile: ColumnProfile) -> Iterator[Finding]:
    yield from _missing(answers)
    yield from _constant(answers)
    if column.kind == "text":
        yield from _texts(answers)
    if column.kind == "number":
        yield from _numbers(column, answers, profile)
    if column.kind == "time":
        yield from _times(answers)


def _missing(answers: Answers) -> Iterator[Finding]:
    rows, missing = answers.missing.rows, answers.missing.missing
    if rows and missing == rows:
        yield _warning("empty", "no row holds a value", missing)
    elif answers.missing.share >= MANY_MISSING:
        yield _warning("missing", f"{percent(answers.missing.share)} are missing", missing)


def _constant(answers: Answers) -> Iterator[Finding]:
    counts = answers.counts
    if counts is None or not counts.distinct or answers.present < 2:
        return
    ((value, most),) = counts.top(1)
    if counts.distinct == 1:
        yield _warning("constant", "all values are the same", most, shown(value))
    elif most >= NEARLY_CONSTANT * answers.present:
        text = f"{percent(most / answers.present, 2)} of the values are the same"
        yield _warning("nearly constant", text, most, shown(value))


def _texts(answers: Answers) -> Iterator[Finding]:
    counts = answers.counts
    assert counts is not None
    listed = [(str(key), count) for key, count in counts.top()]
    present, blank = answers.present, answers.flags["blank"]
    if blank:
        yield _warning("blank", "empty texts, or of spaces alone", blank, "''")
    padded = answers.flags["padded"]
    if padded:
        example = next((key for key, _ in listed if key.strip(" ") not in ("", key)), None)
        text = "spaces at the start or the end"
        yield _warning("padded", text, padded, example and f"'{example}'")
    numeric = answers.flags["numeric"]
    if numeric and numeric >= 0.95 * (present - blank):
        example = next((key for key, _ in listed if key.strip()), None)
        yield _warning("numbers as text", "texts that are numbers", numeric, example)
    days = [key for key, _ in listed if _ISO_DAY.match(key)]
    if days and len(days) >= 0.95 * len([key for key, _ in listed if key.strip()]):
        amount = sum(count for key, count in listed if _ISO_DAY.match(key))
        yield _warning("dates as text", "the frequent values are dates", amount, days[0])
    yield from _placeholders(listed)
    yield from _spellings(listed)


def _placeholders(listed: list[tuple[str, int]]) -> Iterator[Finding]:
    found = [(key, count) for key, count in listed if key.strip().lower() in PLACEHOLDERS]
    if found:
        text = "texts that stand for no value"
        names = ", ".join(f"'{key}'" for key, _ in found[:3])
        yield _warning("placeholder", text, sum(count for _, count in found), names)


def _spellings(listed: list[tuple[str, int]]) -> Iterator[Finding]:
    """Among the frequent values, those that differ by case and spaces alone."""
    same: dict[str, list[tuple[str, int]]] = {}
    for key, count in listed:
        same.setdefault(" ".join(key.split()).casefold(), []).append((key, count))
    groups = [group for word, group in same.items() if word and len(group) > 1]
    if groups:
        rare = sum(count for group in groups for _, count in group[1:])
        text = (
            f"{len(groups)} of the frequent values are written in several ways, "
            "by case and spaces alone; the rows are those of the rarer ones"
        )
        names = ", ".join(f"'{key}'" for key, _ in groups[0][:3])
        yield _warning("spelling", text, rare, names)


def _numbers(column: Column, answers: Answers, profile: ColumnProfile) -> Iterator[Finding]:
    if profile.infinities:
        yield _warning("infinite", "infinite values", profile.infinities)
    bins, values = answers.bins, profile.values
    if bins is None or values is None:
        return
    for value, count in _sentinels(bins, SENTINELS):
        text = "a number far from all others that often stands for no value"
        yield _warning("sentinel", text, count, number_text(value))
    beyond = values.below + values.above
    if beyond > FAR_OUT * values.count and not profile.key:
        farthest = values.maximum if values.above else values.minimum
        text = "beyond the quartiles by more than 3 interquartile ranges"
        yield _note("far out", text, beyond, number_text(farthest))
    if values.skewness is not None and abs(values.skewness) >= SKEWED and not profile.key:
        side = "right" if values.skewness > 0 else "left"
        yield _note("skewed", f"long tail on the {side}: skewness {values.skewness:.1f}")


def _times(answers: Answers) -> Iterator[Finding]:
    if answers.flags["future"]:
        assert answers.moments is not None
        latest = moment(answers.moments.maximum + ORIGIN)
        yield _warning("future", "times in the future", answers.flags["future"], latest)
    if answers.bins is not None:
        days = {_seconds(day) - ORIGIN: day for day in SENTINEL_DAYS}
        for seconds, count in _sentinels(answers.bins, tuple(days), gap=0.0):
            text = "a day that programs write when they have none"
            yield _warning("sentinel", text, count, days[seconds])


def _sentinels(
    bins: Bins, wanted: tuple[float, ...], gap: float = 0.5
) -> Iterator[tuple[float, int]]:
    """Wanted values outside the range of all others, by more than `gap` of that range."""
    is_one = (bins.low == bins.high) & np.isin(bins.low, wanted)
    rest = middles(bins)[~is_one]
    if not len(rest):
        return
    low, high = float(rest[0]), float(rest[-1])
    for value, count in zip(bins.low[is_one].tolist(), bins.counts[is_one].tolist(), strict=True):
        away = max(low - value, value - high)
        # Right beside the others, -1 and 99 are numbers like them.
        if away > gap * (high - low) and away > 1:
            yield value, count


def moment(seconds: float) -> str:
    """Seconds since 1970 as ISO text, to the second; a whole day without its time."""
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        found = start + datetime.timedelta(seconds=round(seconds))
    except OverflowError:  # years that Python does not know
        return f"year {1970 + round(seconds / 31_556_952)}"
    text = found.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    return text.removesuffix(" 00:00:00")


def _seconds(day: str) -> float:
    return datetime.datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()


def _warning(code: str, text: str, rows: int | None = None, example: str | None = None) -> Finding:
    return Finding(
        column=None, code=code, severity=WARNING, text=text, rows=rows, example=_short(example)
    )


def _note(code: str, text: str, rows: int | None = None, example: str | None = None) -> Finding:
    return replace(_warning(code, text, rows, example), severity=NOTE)


def _short(example: str | None) -> str | None:
    return example if example is None or len(example) <= 80 else example[:79] + "…"
