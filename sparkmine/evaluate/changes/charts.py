"""The picture of two runs: each model's figure with its interval in A and in B."""

from __future__ import annotations

from collections.abc import Sequence

from sparkmine.evaluate.changes.judge import MetricChange, ModelChange
from sparkmine.evaluate.intervals import Interval
from sparkmine.evaluate.metrics import LOWER_IS_BETTER
from sparkmine.evaluate.report.pictures import (
    BLUE,
    ORANGE,
    WIDTH,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)
from sparkmine.evaluate.tasks import metric_label

# Told apart without colour, too: by the marker, its filling and the line.
A, B = ORANGE, BLUE
DASHES_OF_A = (3.0, 1.5)
_APART = 0.17


def intervals(models: Sequence[ModelChange], metric: str, identifier: str) -> Picture:
    """One metric of all models, the runs below each other."""
    with figure(WIDTH, 0.6 + 0.46 * len(models)) as drawn:
        axes = drawn.add_subplot()
        for place, model in enumerate(models):
            found = model.metrics[metric]
            for run, side, colour in (("A", found.a, A), ("B", found.b, B)):
                if side is None or side.value is None:
                    continue
                y = place - _APART if run == "A" else place + _APART
                if side.low is not None and side.high is not None:
                    style = (0, DASHES_OF_A) if run == "A" else "-"
                    axes.plot(
                        [side.low, side.high], [y, y], color=colour, linewidth=2, linestyle=style
                    )
                axes.plot(
                    side.value,
                    y,
                    "o" if run == "A" else "s",
                    color=colour,
                    markersize=6.5,
                    markerfacecolor="white" if run == "A" else colour,
                    markeredgewidth=1.8,
                )
        axes.set_yticks(range(len(models)), [shortened(model.name, 20) for model in models])
        axes.set_ylim(len(models) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=5)
        axes.margins(x=0.08)
        tidy(axes, "x")
        svg = to_svg(drawn, identifier, f"With 95 % intervals. {_values(models, metric)}")
    direction = ": lower is better." if metric in LOWER_IS_BETTER else "."
    return Picture(svg=svg, caption=f"{metric_label(metric)} with 95 % intervals{direction}")


def _values(models: Sequence[ModelChange], metric: str) -> str:
    parts = [f"{model.name} {_sides(model.metrics[metric])}" for model in models]
    return f"{metric_label(metric)}: {'; '.join(parts)}."


def _sides(found: MetricChange) -> str:
    sides = (("A", found.a), ("B", found.b))
    return ", ".join(f"{_value(side)} in {run}" for run, side in sides if side is not None)


def _value(side: Interval) -> str:
    return "not defined" if side.value is None else f"{side.value:.3f}"
