"""Pictures of clusters: in what they differ."""

from __future__ import annotations

from sparkmine.evaluate.report.data import Clusters
from sparkmine.evaluate.report.pictures import INK, WIDTH, Picture, figure, shortened, to_svg

# Deviations at which a colour is full.
_FULL = 2.0
_NUMBERS = 12


def means(found: Clusters, identifier: str) -> Picture:
    """A heat map: one row a feature, one column a cluster."""
    features, clusters = len(found.features), len(found.profiles)
    values = [[row[place] for row in found.means] for place in range(features)]
    with figure(max(WIDTH, 1.8 + 0.42 * clusters), 0.9 + 0.24 * max(features, 1)) as drawn:
        axes = drawn.add_subplot()
        # Drawn cell by cell: a picture of pixels would not be text of the page.
        mesh = axes.pcolormesh(values, cmap="RdBu_r", vmin=-_FULL, vmax=_FULL, edgecolors="white")
        if clusters <= _NUMBERS:
            for y, row in enumerate(values):
                for x, value in enumerate(row):
                    colour = "white" if abs(value) > 0.75 * _FULL else INK
                    axes.text(
                        x + 0.5, y + 0.5, f"{value:+.1f}", ha="center", va="center", color=colour
                    )
        axes.set_xticks([x + 0.5 for x in range(clusters)], [str(x) for x in range(clusters)])
        names = [shortened(name, 24) for name in found.features]
        axes.set_yticks([y + 0.5 for y in range(features)], names)
        axes.invert_yaxis()
        axes.set(xlabel="Cluster")
        for side in axes.spines.values():
            side.set_visible(False)
        if clusters > _NUMBERS:
            drawn.colorbar(mesh, ax=axes, label="Standard deviations")
        listed = "; ".join(
            f"{number}: {text}" for number, (_, _, text) in enumerate(found.profiles)
        )
        svg = to_svg(drawn, identifier, f"Clusters of {found.table}. {listed}.")
    caption = (
        f"{found.table}: mean of each cluster, in standard deviations from the mean of all rows "
        "(red is high, blue is low)."
    )
    return Picture(svg=svg, caption=caption)
