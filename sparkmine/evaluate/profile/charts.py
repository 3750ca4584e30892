"""Pictures of a profile: histograms, the heat map of correlations, shares before and after."""

from __future__ import annotations

import datetime
from itertools import pairwise

from sparkmine.evaluate.profile.data import Change, Correlations, Distribution
from sparkmine.evaluate.profile.facts import number_text
from sparkmine.evaluate.profile.findings import moment
from sparkmine.evaluate.report.pictures import (
    BLUE,
    GREYS,
    ORANGE,
    WIDTH,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)

HEAT_COLUMNS = 24
BUCKETS_DRAWN = 16
_ANNOTATED = 9


def histogram(name: str, found: Distribution, identifier: str, what: str = "") -> Picture | None:
    """Bars of rows; `what` is `time` or `length`. None where there is one value only."""
    from matplotlib.ticker import MaxNLocator

    if found.histogram is None:
        return None
    edges, counts = found.histogram.edges, found.histogram.counts
    with figure(WIDTH, 2.3) as drawn:
        axes = drawn.add_subplot()
        widths = [high - low for low, high in pairwise(edges)]
        axes.bar(
            edges[:-1],
            counts,
            width=widths,
            align="edge",
            color=BLUE,
            edgecolor="white",
            linewidth=0.5,
        )
        axes.set_xlim(edges[0], edges[-1])
        axes.set(ylabel="Rows", xlabel="Characters" if what == "length" else "")
        axes.locator_params(axis="y", nbins=4)
        axes.yaxis.set_major_formatter(lambda value, _: _short(value))
        if what == "time":
            _days(axes, edges[0], edges[-1])
        else:
            whole = all((edge - 0.5).is_integer() for edge in edges[:2])
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole))
            axes.xaxis.set_major_formatter(lambda value, _: _short(value))
        tidy(axes, "y")
        bounds = f"{_value(found.minimum, what)} to {_value(found.maximum, what)}"
        svg = to_svg(drawn, identifier, f"Histogram of {name}, {bounds}.")
    captions = {"time": "Times (UTC).", "length": "Lengths of the texts."}
    caption = captions.get(what, "")
    hidden = [
        f"{rows:,} rows {side} are not drawn"
        for rows, side in ((found.left, "below"), (found.right, "above"))
        if rows
    ]
    return Picture(svg=svg, caption=f"{caption} {'; '.join(hidden)}{'.' if hidden else ''}".strip())


def heat_map(found: Correlations) -> Picture:
    """The correlations of all pairs; of very many columns those of the strongest pairs."""
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm

    shown = list(found.columns)
    if len(shown) > HEAT_COLUMNS:
        strong: dict[str, None] = {}
        for one, other, _ in found.strongest(len(found.matrix) ** 2):
            if len(strong) < HEAT_COLUMNS - 1:
                strong.update({one: None, other: None})
        shown = [name for name in shown if name in strong]
    at = [found.columns.index(name) for name in shown]
    rows = [[found.matrix[i][j] for j in at] for i in at]
    size = len(shown)
    with figure(WIDTH, max(2.4, min(0.9 + 0.42 * size, 4.6))) as drawn:
        axes = drawn.add_subplot()
        colours = colormaps["RdBu_r"]
        numbers = [[float("nan") if value is None else value for value in row] for row in rows]
        mesh = axes.pcolormesh(
            numbers,
            cmap=colours,
            norm=BoundaryNorm([step / 20 for step in range(-21, 22, 2)], colours.N),
            edgecolors="white",
            linewidth=1,
        )
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                if size <= _ANNOTATED:
                    text = "–" if value is None else f"{value:.2f}"
                    dark = value is not None and abs(value) > 0.6
                    axes.text(
                        j + 0.5,
                        i + 0.5,
                        text,
                        ha="center",
                        va="center",
                        fontsize=8.5,
                        color="white" if dark else "#1b2733",
                    )
        names = [shortened(name, 16) for name in shown]
        places = [place + 0.5 for place in range(size)]
        small = 9.5 if size <= 12 else 7.5
        axes.set_xticks(places, names, rotation=90, fontsize=small)
        axes.set_yticks(places, names, fontsize=small)
        axes.invert_yaxis()
        axes.set_frame_on(False)
        bar = drawn.colorbar(mesh, ax=axes, aspect=30, pad=0.02, ticks=[-1, -0.5, 0, 0.5, 1])
        bar.outline.set_visible(False)
        listed = ", ".join(f"{a} and {b} {v:.2f}" for a, b, v in found.strongest(5))
        svg = to_svg(drawn, "correlations", f"Correlations; the strongest: {listed or 'none'}.")
    caption = "Pearson's correlation, each pair over the rows that have both."
    if size < len(found.columns):
        caption += f" The {size} columns of the strongest pairs, of {len(found.columns)}."
    return Picture(svg=svg, caption=caption)


def change(found: Change, identifier: str) -> Picture:
    """Shares of the rows by bucket, in the old version and in the new one."""
    most = sorted(found.buckets, key=lambda bucket: -abs(bucket[2] - bucket[1]))[:BUCKETS_DRAWN]
    buckets = [bucket for bucket in found.buckets if bucket in most]
    with figure(WIDTH, 0.9 + 0.28 * len(buckets)) as drawn:
        axes = drawn.add_subplot()
        for side, colour, label, away in ((1, GREYS[1], "old", -0.2), (2, ORANGE, "new", 0.2)):
            axes.barh(
                [place + away for place in range(len(buckets))],
                [100 * bucket[side] for bucket in buckets],
                height=0.38,
                color=colour,
                label=label,
            )
        axes.set_yticks(range(len(buckets)), [shortened(b[0], 22) for b in buckets])
        axes.invert_yaxis()
        axes.set(xlabel="% of the rows")
        axes.locator_params(axis="x", nbins=5)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        tidy(axes, "x")
        svg = to_svg(drawn, identifier, f"Shares of {found.column} before and after.")
    more = f", the {len(buckets)} of {len(found.buckets)} buckets that changed most"
    more = more if len(buckets) < len(found.buckets) else ""
    return Picture(svg=svg, caption=f"{found.column}{more}: PSI {found.psi:.3f}.")


def _days(axes: object, low: float, high: float) -> None:
    """Four moments, as days, or with minutes where the times lie within three days."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    places = [low + (high - low) * (part + 0.5) / 4 for part in range(4)]
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    pattern = "%d %b\n%H:%M" if high - low < 3 * 86_400 else "%d %b\n%Y"
    labels = []
    for place in places:
        try:
            labels.append((start + datetime.timedelta(seconds=place)).strftime(pattern))
        except OverflowError:
            labels.append("")
    axes.set_xticks(places, labels)


def _value(value: float, what: str) -> str:
    return moment(value) if what == "time" else number_text(value)


def _short(value: float) -> str:
    """A tick: 1,500 or 25k or 3.2M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if letter == "k" else size
            return f"{value / scale:,.4g}{letter}"
    return f"{value:,.4g}"
