"""Pictures of an explanation: importances with intervals, and curves of partial dependence."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from sparkmine.evaluate.explain import Dependence, Explanation, Point
from sparkmine.evaluate.metrics import LOWER_IS_BETTER
from sparkmine.evaluate.report.pictures import (
    BLUE,
    COLOURS,
    INK,
    WIDTH,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)
from sparkmine.evaluate.tasks import metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Bars of a picture, and classes whose lines can still be told apart.
_SHOWN, _CLASSES = 20, 6


def importances(found: Explanation, identifier: str) -> Picture:
    """Bars with their intervals, the most important feature first."""
    bars = found.importances.features[:_SHOWN]
    metric = metric_label(found.importances.metric)
    with figure(WIDTH, 0.6 + 0.25 * len(bars)) as drawn:
        axes = drawn.add_subplot()
        places = range(len(bars))
        axes.barh(places, [bar.importance for bar in bars], color=BLUE, height=0.62)
        for place, bar in enumerate(bars):
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [place, place], color=INK, linewidth=1.4)
        axes.axvline(0, color="#b6c0ca", linewidth=1)
        axes.set_yticks(places, [shortened(bar.feature, 26) for bar in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=5)
        lower = found.importances.metric in LOWER_IS_BETTER
        axes.set(xlabel=f"{'Rise' if lower else 'Fall'} of {metric}")
        tidy(axes, "x")
        listed = ", ".join(f"{bar.feature} {bar.importance:.3f}" for bar in bars)
        svg = to_svg(drawn, identifier, f"Permutation importance: {listed}.")
    rest = len(found.importances.features) - len(bars)
    caption = f"How much worse {metric} becomes when a feature's values are shuffled."
    if rest:
        caption += f" {rest} less important ones are not shown."
    return Picture(svg=svg, caption=caption)


def dependence(found: Explanation, identifier: str) -> list[Picture]:
    """One picture a feature, all over the same range of predictions."""
    if not found.dependence:
        return []
    single = not found.classes
    values = [
        value
        for one in found.dependence
        for point in one.points
        for value in (*point.mean, *((*point.low, *point.high) if single else ()))
    ]
    room = 0.06 * (max(values) - min(values)) or 0.05
    limits = (min(values) - room, max(values) + room)
    return [
        _curve(one, found.classes, limits, f"{identifier}-{place}")
        for place, one in enumerate(found.dependence)
    ]


def _curve(
    one: Dependence, classes: tuple[str, ...], limits: tuple[float, float], identifier: str
) -> Picture:
    height = 2.6 if one.numeric else 0.9 + 0.27 * max(len(one.points), 4)
    with figure(WIDTH, height) as drawn:
        axes = drawn.add_subplot()
        (_line if one.numeric else _values)(axes, one, classes)
        if one.numeric:
            axes.set(ylim=limits, ylabel="Mean prediction")
            axes.locator_params(axis="x", nbins=6)
        else:
            axes.set(xlim=limits, xlabel="Mean prediction")
            axes.set_yticks(
                range(len(one.points)), [shortened(point.text, 22) for point in one.points]
            )
            axes.set_ylim(len(one.points) - 0.4, -0.6)
        tidy(axes)
        if classes:
            axes.legend(fontsize=8, frameon=False, ncols=2)
        said = "; ".join(
            f"{point.text}: {', '.join(f'{mean:.3g}' for mean in point.mean)}"
            for point in one.points
        )
        svg = to_svg(drawn, identifier, f"Mean prediction by {one.feature}. {said}.")
    return Picture(svg=svg, caption=one.feature + ("" if one.numeric else ": values side by side."))


def _line(axes: Axes, one: Dependence, classes: tuple[str, ...]) -> None:
    points = sorted(one.points, key=lambda point: point.at)
    at = [point.at for point in points]
    if not classes:
        low, high = [point.low[0] for point in points], [point.high[0] for point in points]
        axes.fill_between(at, low, high, color=BLUE, alpha=0.16, linewidth=0)
    for output, name in _outputs(points, classes):
        means = [point.mean[output] for point in points]
        colour = COLOURS[output % len(COLOURS)]
        dot = "." if any(b - a > 0.2 * (at[-1] - at[0]) for a, b in pairwise(at)) else ""
        axes.plot(at, means, color=colour, linewidth=2, label=name, marker=dot or None)
    # Where the quantiles are: between ticks that are far apart there are few rows.
    transform = axes.get_xaxis_transform()
    axes.plot(at, [0.0] * len(at), "|", color=INK, markersize=7, transform=transform)


def _values(axes: Axes, one: Dependence, classes: tuple[str, ...]) -> None:
    for output, name in _outputs(one.points, classes):
        colour = COLOURS[output % len(COLOURS)]
        for place, point in enumerate(one.points):
            if not classes:
                ends = [point.low[output], point.high[output]]
                axes.plot(ends, [place, place], color=colour, alpha=0.35, linewidth=5)
            axes.plot(
                point.mean[output],
                place,
                "o",
                color=colour,
                markersize=6,
                label=name if place == 0 else None,
            )


def _outputs(
    points: list[Point] | tuple[Point, ...], classes: tuple[str, ...]
) -> list[tuple[int, str]]:
    """Which outputs are drawn: of many classes those that move furthest."""
    if not classes:
        return [(0, "")]
    spans = [
        max(point.mean[output] for point in points) - min(point.mean[output] for point in points)
        for output in range(len(classes))
    ]
    most = sorted(range(len(classes)), key=lambda output: -spans[output])[:_CLASSES]
    return [(output, classes[output]) for output in sorted(most)]
