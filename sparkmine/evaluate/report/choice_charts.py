"""Pictures of a number that was chosen among some: of clusters, of topics."""

from __future__ import annotations

from collections.abc import Sequence

from sparkmine.evaluate.report.data import Clusters
from sparkmine.evaluate.report.pictures import BLUE, MUTED, ORANGE, Picture, figure, tidy, to_svg
from sparkmine.evaluate.report.texts import TopicTable


def inertia(found: Clusters, identifier: str) -> Picture:
    """The inertia by k, with its elbow and the k that was taken."""
    points = [(k, value) for k, value, _, _ in found.choice]
    return _curve(
        points,
        identifier,
        "Inertia",
        chosen=found.chosen,
        elbow=found.elbow,
        about=f"{found.table}: inertia by number of clusters",
    )


def coherence(found: TopicTable, identifier: str) -> Picture:
    """The mean coherence of the topics by k, with the k that was taken."""
    points = [(k, value) for k, value, _ in found.choice]
    return _curve(
        points,
        identifier,
        "Coherence",
        chosen=found.chosen,
        elbow=None,
        about=f"{found.table}: coherence by number of topics",
    )


def _curve(
    points: Sequence[tuple[int, float]],
    identifier: str,
    name: str,
    *,
    chosen: int | None,
    elbow: int | None,
    about: str,
) -> Picture:
    from matplotlib.ticker import MaxNLocator

    by_k, parts = dict(points), []
    with figure(height=2.6) as drawn:
        axes = drawn.add_subplot()
        axes.plot(list(by_k), list(by_k.values()), color=BLUE, marker="o", markersize=4)
        if elbow in by_k:
            # What the elbow is farthest below of.
            (first, high), (last, low) = points[0], points[-1]
            axes.plot([first, last], [high, low], color=MUTED, linewidth=1, linestyle="--")
            axes.plot(elbow, by_k[elbow], "s", color=MUTED, markersize=11, fillstyle="none")
            parts.append(f"the square is the elbow, {elbow}")
        if chosen in by_k:
            axes.plot(chosen, by_k[chosen], "o", color=ORANGE, markersize=8)
            parts.append(f"orange is the chosen one, {chosen}")
        axes.set(xlabel="k", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes)
        listed = ", ".join(f"{k} {value:.4g}" for k, value in points)
        svg = to_svg(drawn, identifier, f"{'; '.join([about, *parts])}. {listed}.")
    return Picture(svg=svg, caption=f"{'; '.join([about, *parts])}.")
