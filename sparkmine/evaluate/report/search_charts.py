"""Pictures of searches: how candidates did, and how surely."""

from __future__ import annotations

from sparkmine.evaluate.report.data import Searched
from sparkmine.evaluate.report.pictures import BLUE, ORANGE, Picture, figure, tidy, to_svg
from sparkmine.evaluate.tasks import metric_label


def scores(found: Searched, identifier: str) -> Picture:
    """Mean and standard error of each candidate, from the best to the worst."""
    from matplotlib.ticker import MaxNLocator

    measured = [(one, one.mean) for one in found.candidates if one.mean is not None]
    with figure() as drawn:
        axes = drawn.add_subplot()
        for place, (one, mean) in enumerate(measured, start=1):
            axes.errorbar(
                place,
                mean,
                yerr=one.standard_error or 0.0,
                fmt="o",
                markersize=6 if one.chosen else 3,
                color=ORANGE if one.chosen else BLUE,
                elinewidth=1.0,
            )
        metric = metric_label(found.metric)
        axes.set(xlabel="Candidate, from the best", ylabel=f"Mean {metric}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes, "y")
        best = f"{measured[0][1]:.4f}" if measured else "none"
        svg = to_svg(
            drawn, identifier, f"{len(measured)} candidates of {found.stage}; best {metric} {best}."
        )
    caption = (
        f"{found.stage}: mean {metric} over {found.folds} folds with its standard error; the "
        "chosen candidate is orange."
    )
    return Picture(svg=svg, caption=caption)
