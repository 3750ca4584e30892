"""From the engine's answers to what a profile says of a column."""

from __future__ import annotations

import math
import re

import numpy as np

from sparkmine.evaluate.profile.asking import ORIGIN, Answers, Column
from sparkmine.evaluate.profile.data import Distribution, TopValue
from sparkmine.evaluate.report import Histogram
from sparkmine.stats import SelectedCounts
from sparkmine.stats.sketch import Bins

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Interquartile ranges beyond the quartiles: Tukey's outer fences.
FENCE = 3.0
LISTED = 10
_BARS, _BARS_OF_INTEGERS = 24, 40
_MIDNIGHT = re.compile(r"( 00:00:00)?(\.0+)?Z?$")


def distribution(column: Column, answers: Answers) -> Distribution | None:
    """The distribution of what was asked of a column; None if there was no finite value."""
    moments, bins = answers.moments, answers.bins
    if moments is None or bins is None or not moments.count:
        return None
    time, text = column.kind == "time", column.kind == "text"
    start = ORIGIN if time else 0.0
    low, _, high = (found or 0.0 for found in bins.quantiles(0.25, 0.5, 0.75))
    reach = FENCE * (high - low)
    drawn = histogram(bins, integers=text or not (time or column.floating))
    skewness, kurtosis = _shape(bins, moments.mean, moments.deviation)
    quantiles = zip(SHARES, bins.quantiles(*SHARES), strict=True)
    return Distribution(
        count=moments.count,
        mean=moments.mean + start,
        deviation=moments.deviation,
        minimum=moments.minimum + start,
        maximum=moments.maximum + start,
        quantiles={f"{share:g}": (found or 0.0) + start for share, found in quantiles},
        zeros=0 if time else int(bins.counts[(bins.low == 0) & (bins.high == 0)].sum()),
        negatives=0 if time else int(bins.counts[bins.high < 0].sum()),
        skewness=skewness,
        kurtosis=kurtosis,
        below=int(bins.counts[bins.high < low - reach].sum()) if reach else 0,
        above=int(bins.counts[bins.low > high + reach].sum()) if reach else 0,
        histogram=_shifted(drawn, start),
        left=_outside(bins, drawn, -1),
        right=_outside(bins, drawn, 1),
    )


def histogram(bins: Bins, *, integers: bool) -> Histogram | None:
    """Equally wide bars over the bins; far tails beyond 1 % and 99 % are left out.

    Bars of integers hold whole numbers of them. None for fewer than two values.
    """
    low, high = float(bins.low[0]), float(bins.high[-1])
    if not low < high:
        return None
    first, last = bins.quantile(0.01), bins.quantile(0.99)
    assert first is not None and last is not None
    if last > first and low < first - (last - first):
        low = first
    if last > first and high > last + (last - first):
        high = last
    if integers:
        low, high = math.floor(low), math.ceil(high)
        values = high - low + 1
        step = 1 if values <= _BARS_OF_INTEGERS else math.ceil(values / _BARS)
        edges = low - 0.5 + step * np.arange(math.ceil(values / step) + 1)
    else:
        edges = np.linspace(low, high, _BARS + 1)
        if not (np.diff(edges) > 0).all():  # neighbouring doubles
            return None
    counts, _ = np.histogram(middles(bins), bins=edges, weights=bins.counts)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(int(n) for n in counts))


def middles(bins: Bins) -> np.ndarray:
    """The value that stands for each bin, [b]; that of all its rows where it holds one value."""
    return bins.low + (bins.high - bins.low) / 2


def top_values(counts: SelectedCounts | None, rows: int) -> tuple[TopValue, ...]:
    """The values that a page lists."""
    if counts is None:
        return ()
    return tuple(
        TopValue(value=shown(key), rows=count, share=count / max(rows, 1))
        for key, count in counts.top(LISTED)
    )


def shown(key: int | str) -> str:
    """A value as people write it: a moment without its empty parts."""
    text = str(key)
    moment = re.match(r"\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d", text)
    return _MIDNIGHT.sub("", text) if moment else text


def number_text(value: float) -> str:
    """A number with five digits, whole ones and large ones with all of them."""
    if abs(value) < 1e15 and (float(value).is_integer() or abs(value) >= 1e6):
        return f"{value:,.0f}"
    return f"{value:,.2f}" if 1e4 <= abs(value) < 1e15 else f"{value:.5g}"


def _shape(bins: Bins, mean: float, deviation: float) -> tuple[float | None, float | None]:
    """Skewness and excess kurtosis; None where all values are equal."""
    if not deviation > 1e-14 * abs(mean):
        return None, None
    with np.errstate(over="ignore", invalid="ignore"):
        away = (middles(bins) - mean) / deviation
        third = float((bins.counts * away**3).sum() / bins.count)
        fourth = float((bins.counts * away**4).sum() / bins.count) - 3.0
    return (third, fourth) if math.isfinite(third) and math.isfinite(fourth) else (None, None)


def _shifted(drawn: Histogram | None, start: float) -> Histogram | None:
    if drawn is None or not start:
        return drawn
    return Histogram(edges=tuple(edge + start for edge in drawn.edges), counts=drawn.counts)


def _outside(bins: Bins, drawn: Histogram | None, side: int) -> int:
    if drawn is None:
        return 0
    at = middles(bins)
    outside = at < drawn.edges[0] if side < 0 else at > drawn.edges[-1]
    return int(bins.counts[outside].sum())
