"""Pictures of a linkage model: what each level weighs, and how the weight of a pair comes about.

The data are those of Splink's match-weight and waterfall charts, drawn as all of this report is:
its own charts need megabytes of JavaScript.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkmine.evaluate.metrics import percent
from sparkmine.evaluate.report.data import FuzzyMatches, ScoredPair, WeightLevel
from sparkmine.evaluate.report.pictures import (
    BLUE,
    MUTED,
    ORANGE,
    WIDTH,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY = "#b6c0ca"
_ROW = 0.21  # inches
_LETTERS = 26
_MAX_WEIGHT = 30.0  # what is beyond is drawn as this


def pictures(found: FuzzyMatches, identifier: str) -> list[Picture]:
    """The match weights, and a waterfall for each example."""
    drawn = [weights(found.levels, f"{identifier}-weights")] if found.levels else []
    examples = enumerate(found.examples)
    return [*drawn, *(waterfall(pair, f"{identifier}-pair-{i}") for i, pair in examples)]


def weights(levels: tuple[WeightLevel, ...], identifier: str) -> Picture:
    """A bar for each level, grouped by comparison; to the right it speaks for a match."""
    rows: list[tuple[str, WeightLevel | None]] = []
    for place, level in enumerate(levels):
        if level.level and (not place or levels[place - 1].comparison != level.comparison):
            rows.append((level.comparison, None))
        rows.append((level.level or level.comparison, level))
    with figure(WIDTH, 0.6 + _ROW * len(rows)) as drawn:
        axes = drawn.add_subplot()
        for place, (_, shown) in enumerate(rows):
            if shown is None:
                continue
            drawn_weight = _bounded(shown.weight)
            colour = _GREY if not shown.seen else BLUE if shown.weight >= 0 else ORANGE
            axes.barh(place, drawn_weight, color=colour, height=0.68)
            side = "left" if drawn_weight >= 0 else "right"
            gap = 0.35 if drawn_weight >= 0 else -0.35
            text = f"{shown.weight:+.1f}"
            axes.text(drawn_weight + gap, place, text, va="center", ha=side, color=MUTED, size=8.5)
        _labelled(axes, [shortened(name, _LETTERS) for name, _ in rows])
        for label, (_, shown) in zip(axes.get_yticklabels(), rows, strict=True):
            if shown is None:
                label.set_fontweight("bold")
        bars = [_bounded(level.weight) for level in levels]
        room = 0.2 * (max(0.0, *bars) - min(0.0, *bars))  # for the numbers
        axes.set_xlim(min(0.0, *bars) - room, max(0.0, *bars) + room)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("Match weight, log2(m / u)")
        described = ", ".join(
            f"{level.comparison} {level.level}".strip() + f" {level.weight:+.1f}"
            for level in levels
        )
        svg = to_svg(drawn, identifier, f"Match weights: {described}.")
    caption = "What each level of agreement weighs. Weights are added; 1 more doubles the odds."
    if not all(level.seen for level in levels):
        caption += " Grey: no pair of the training was at this level, so it is a guess."
    return Picture(svg=svg, caption=caption)


def waterfall(pair: ScoredPair, identifier: str) -> Picture:
    """From the prior through the comparisons to the sum."""
    names = [f"{name}: {level}" if level else name for name, level, _ in pair.bars]
    with figure(WIDTH, 0.6 + 0.24 * len(names)) as drawn:
        axes = drawn.add_subplot()
        running = 0.0
        for place, (_, _, weight) in enumerate(pair.bars):
            last = place == len(pair.bars) - 1
            begin = 0.0 if last else running
            axes.barh(place, weight, left=begin, color=_colour(place, last, weight), height=0.62)
            edge = max(begin, begin + weight)
            text = f"{weight:+.1f}"
            axes.text(edge + 0.4, place, text, va="center", color=MUTED, size=8.5)
            running = begin + weight
        _labelled(axes, [shortened(name, _LETTERS + 8) for name in names])
        axes.margins(x=0.14)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_xlabel("Match weight")
        listed = ", ".join(
            f"{name} {bar[2]:+.1f}" for name, bar in zip(names, pair.bars, strict=True)
        )
        svg = to_svg(drawn, identifier, f"How a match weight comes about: {listed}.")
    verdict = "taken for one" if pair.matched else "not taken for one"
    return Picture(svg=svg, caption=f"Match probability {percent(pair.probability, 2)}: {verdict}.")


def _colour(place: int, last: bool, weight: float) -> str:
    if place == 0 or last:
        return _GREY
    return BLUE if weight >= 0 else ORANGE


def _labelled(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    tidy(axes, "x")


def _bounded(weight: float) -> float:
    return max(min(weight, _MAX_WEIGHT), -_MAX_WEIGHT)
