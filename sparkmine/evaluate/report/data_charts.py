"""Pictures of data and training: missing values, components, epochs, rules, scores."""

from __future__ import annotations

from itertools import accumulate, pairwise

from sparkmine.evaluate.metrics import percent
from sparkmine.evaluate.report.data import (
    LearningCurve,
    MissingValues,
    Predictions,
    Rules,
    Spectrum,
)
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

_MAX_BARS = 25
_MAX_COMPONENTS = 40
_PREDICTED = {
    "binary": "Predicted probability",
    "multiclass": "Predicted class",
    "regression": "Predicted value",
}


def missing(values: MissingValues, identifier: str) -> Picture:
    """Bars of the share of missing values, the highest first."""
    gaps = sorted(
        ((name, share) for name, share in values.fractions.items() if share > 0),
        key=lambda gap: (-gap[1], gap[0]),
    )
    shown, complete = gaps[:_MAX_BARS], len(values.fractions) - len(gaps)
    with figure(WIDTH, 0.7 + 0.24 * max(len(shown), 1)) as drawn:
        axes = drawn.add_subplot()
        places = range(len(shown))
        shares = [100 * share for _, share in shown]
        axes.barh(places, shares, color=BLUE, height=0.66)
        for place, share in zip(places, shares, strict=True):
            text = f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"
            axes.text(share + 1, place, text, va="center", color=MUTED)
        axes.set_yticks(places, [shortened(name, 26) for name, _ in shown])
        axes.set(xlim=(0, 118), xlabel="Missing values, % of the rows")
        axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
        axes.set_xticks([0, 25, 50, 75, 100])
        tidy(axes, "x")
        listed = ", ".join(f"{name} {percent(share)}" for name, share in shown)
        svg = to_svg(drawn, identifier, f"Missing values in {values.table}: {listed or 'none'}.")
    caption = f"{values.table}: {len(gaps)} columns with gaps, {complete} without."
    if len(gaps) > len(shown):
        caption += f" The {len(shown)} with the most are shown."
    return Picture(svg=svg, caption=caption)


def spectrum(found: Spectrum, identifier: str) -> Picture:
    """Explained variance of each component as bars, and their running sum."""
    from matplotlib.ticker import MaxNLocator

    explained = found.explained[:_MAX_COMPONENTS]
    running = list(accumulate(explained))
    with figure() as drawn:
        axes = drawn.add_subplot()
        numbers = range(1, len(explained) + 1)
        axes.bar(numbers, [100 * share for share in explained], color=BLUE, width=0.7)
        axes.plot(
            numbers,
            [100 * share for share in running],
            color=ORANGE,
            marker="o",
            markersize=3.5,
            linewidth=1.6,
        )
        axes.set(xlabel="Component", ylabel="Explained variance, %", ylim=(0, 104))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes, "y")
        total = running[-1] if running else 0.0
        svg = to_svg(
            drawn,
            identifier,
            f"Explained variance of {len(explained)} components of {found.name}, "
            f"together {percent(total)}.",
        )
    caption = (
        f"{found.name}: bars are single components, the line is their sum; "
        f"{len(explained)} components explain {percent(total)}."
    )
    return Picture(svg=svg, caption=caption)


def learning(curve: LearningCurve, identifier: str) -> list[Picture]:
    """One picture for each metric, training and validation together; `loss` first."""
    names = [name for name in curve.history if not name.startswith("val_")]
    names.sort(key=lambda name: name != "loss")
    of_validation = [name.removeprefix("val_") for name in curve.history if name[:4] == "val_"]
    shown = [*names, *(name for name in of_validation if name not in names)]
    return [_epochs(curve, name, f"{identifier}-{place}") for place, name in enumerate(shown)]


def _epochs(curve: LearningCurve, name: str, identifier: str) -> Picture:
    from matplotlib.ticker import MaxNLocator

    lines = [(name, "training", BLUE, "-"), (f"val_{name}", "validation", ORANGE, "--")]
    with figure(WIDTH, 2.9) as drawn:
        axes = drawn.add_subplot()
        described = []
        for key, label, colour, style in lines:
            values = curve.history.get(key)
            if not values:
                continue
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, style, color=colour, marker="o", markersize=3.5, label=label)
            described.append(f"{label} {values[0]:.4g} to {values[-1]:.4g}")
        axes.set(xlabel="Epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, handlelength=2.2)
        tidy(axes)
        svg = to_svg(drawn, identifier, f"{curve.model}, {name} by epoch: {', '.join(described)}.")
    return Picture(svg=svg, caption=f"{curve.model}: {name} by epoch.")


def rules_scatter(rules: Rules, identifier: str) -> Picture:
    """Support against confidence, coloured by lift in a few steps."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    lifts = [rule.lift for rule in rules.rules]
    steps = MaxNLocator(6).tick_values(min(lifts), max(lifts) + 1e-9)
    colours = colormaps["viridis_r"]
    with figure(WIDTH, 3.9) as drawn:
        axes = drawn.add_subplot()
        # The strongest on top.
        ordered = sorted(rules.rules, key=lambda rule: rule.lift)
        points = axes.scatter(
            [100 * rule.support for rule in ordered],
            [100 * rule.confidence for rule in ordered],
            c=[rule.lift for rule in ordered],
            s=22,
            cmap=colours,
            norm=BoundaryNorm(steps, colours.N),
            edgecolors="white",
            linewidths=0.4,
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="Support, % (logarithmic)", ylabel="Confidence, %")
        tidy(axes)
        bar = drawn.colorbar(points, ax=axes, aspect=30, pad=0.02)
        bar.set_label("Lift")
        bar.outline.set_visible(False)
        svg = to_svg(
            drawn,
            identifier,
            f"{len(ordered)} rules by support, confidence and lift; lift from {min(lifts):.2f} "
            f"to {max(lifts):.2f}.",
        )
    return Picture(svg=svg, caption=f"{len(ordered):,} rules by support, confidence and lift.")


def scores(predictions: Predictions, identifier: str) -> Picture:
    """Histogram of the predictions, of probabilities with the threshold."""
    from matplotlib.ticker import MaxNLocator

    found = predictions.scores
    with figure() as drawn:
        axes = drawn.add_subplot()
        widths = [high - low for low, high in pairwise(found.edges)]
        axes.bar(
            found.edges[:-1],
            found.counts,
            width=widths,
            align="edge",
            color=BLUE,
            edgecolor="white",
            linewidth=0.6,
        )
        if predictions.threshold is not None:
            axes.axvline(predictions.threshold, color=ORANGE, linewidth=1.5, linestyle="--")
        if predictions.task == "multiclass":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=_PREDICTED[predictions.task], ylabel="Rows")
        axes.set_xlim(found.edges[0], found.edges[-1])
        axes.locator_params(axis="y", nbins=6)
        tidy(axes, "y")
        svg = to_svg(
            drawn,
            identifier,
            f"Histogram of {sum(found.counts):,} scores of {predictions.model}.",
        )
    line = "" if predictions.threshold is None else "; the dashed line is the threshold"
    caption = f"Scores of {predictions.model}{line}."
    return Picture(svg=svg, caption=caption)
