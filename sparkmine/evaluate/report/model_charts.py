"""Pictures of an evaluation: ROC, precision-recall, calibration, models beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparkmine.evaluate.comparison import Evaluation, ModelEvaluation
from sparkmine.evaluate.curves import Curve
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, percent
from sparkmine.evaluate.report.pictures import (
    BLUE,
    WIDTH,
    LineStyle,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)
from sparkmine.evaluate.tasks import metric_label

Styles = Mapping[str, LineStyle]
_NO_CURVE = Curve(x=(), y=())


def roc(evaluation: Evaluation, styles: Styles, identifier: str) -> Picture:
    """True against false positive rate of every model."""
    with figure() as drawn:
        axes = drawn.add_subplot()
        axes.plot([0, 1], [0, 1], color="#b6c0ca", linewidth=1)
        for model in _best_last(evaluation):
            curve = model.roc or _NO_CURVE
            axes.plot(curve.x, curve.y, **styles[model.name].matplotlib)
        axes.set(xlabel="False positive rate", ylabel="True positive rate")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        tidy(axes)
        described = _values(evaluation, "roc_auc")
        svg = to_svg(drawn, identifier, f"ROC curves. {described}")
    return Picture(svg=svg, caption="ROC curves: the further to the upper left, the better.")


def precision_recall(evaluation: Evaluation, styles: Styles, identifier: str) -> Picture:
    """Precision against recall of every model; the line is the share of positives."""
    with figure() as drawn:
        axes = drawn.add_subplot()
        axes.axhline(evaluation.positive_share, color="#b6c0ca", linewidth=1)
        for model in _best_last(evaluation):
            curve = model.precision_recall or _NO_CURVE
            axes.plot(curve.x, curve.y, drawstyle="steps-pre", **styles[model.name].matplotlib)
        axes.set(xlabel="Recall", ylabel="Precision", xlim=(-0.01, 1.01))
        curves = [model.precision_recall or _NO_CURVE for model in evaluation.models]
        lowest = min((min(curve.y, default=1.0) for curve in curves), default=0.0)
        # With many positives all curves lie high up; from 0 they could not be told apart.
        axes.set_ylim(0 if lowest < 0.5 else lowest - 0.05, 1.01)
        tidy(axes)
        described = _values(evaluation, "pr_auc")
        svg = to_svg(drawn, identifier, f"Precision-recall curves. {described}")
    caption = (
        "Precision-recall curves. The grey line is the share of positives, "
        f"{percent(evaluation.positive_share)}."
    )
    return Picture(svg=svg, caption=caption)


def gain(evaluation: Evaluation, styles: Styles, identifier: str) -> Picture:
    """Share of the positives found against the share of the rows looked at."""
    share = evaluation.positive_share
    with figure() as drawn:
        axes = drawn.add_subplot()
        axes.plot([0, 1], [0, 1], color="#b6c0ca", linewidth=1)
        axes.plot([0, share, 1], [0, 1, 1], color="#b6c0ca", linewidth=1)
        for model in _best_last(evaluation):
            curve = model.gain or _NO_CURVE
            axes.plot(curve.x, curve.y, **styles[model.name].matplotlib)
        axes.set(xlabel="Share of rows, likeliest first", ylabel="Share of positives found")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        tidy(axes)
        described = _values(evaluation, "lift")
        svg = to_svg(drawn, identifier, f"Cumulative gain. {described}")
    caption = (
        "Cumulative gain: between chance (the diagonal) and a model that knows all. Lift is this "
        "curve over the diagonal at a tenth of the rows."
    )
    return Picture(svg=svg, caption=caption)


def scatter(model: ModelEvaluation, styles: Styles, identifier: str) -> Picture:
    """Actual against predicted numbers of one model, on some of the rows."""
    points = model.scatter
    assert points is not None
    with figure() as drawn:
        axes = drawn.add_subplot()
        values = [*points.predicted, *points.actual]
        ends = [min(values), max(values)]
        axes.plot(ends, ends, color="#b6c0ca", linewidth=1)
        axes.scatter(
            points.predicted,
            points.actual,
            s=9,
            alpha=0.45,
            color=styles[model.name].colour,
            linewidths=0,
            rasterized=len(values) > 1000,
        )
        axes.set(xlabel="Predicted", ylabel="Actual")
        tidy(axes)
        described = f"{model.name}, {len(points.actual)} rows."
        svg = to_svg(drawn, identifier, f"Actual against predicted values of {described}")
    return Picture(svg=svg, caption=f"{model.name}: on the line, the prediction is right.")


def calibration(evaluation: Evaluation, styles: Styles, identifier: str) -> Picture:
    """Observed share against predicted probability, in ten bins."""
    with figure() as drawn:
        axes = drawn.add_subplot()
        axes.plot([0, 1], [0, 1], color="#b6c0ca", linewidth=1)
        for model in _best_last(evaluation):
            most = max((place.rows for place in model.calibration), default=1)
            x = [place.predicted for place in model.calibration]
            y = [place.observed for place in model.calibration]
            style = styles[model.name]
            axes.plot(x, y, **style.matplotlib)
            sizes = [10 + 60 * place.rows / most for place in model.calibration]
            axes.scatter(x, y, s=sizes, color=style.colour, linewidths=0, zorder=3)
        axes.set(xlabel="Predicted probability", ylabel="Observed share")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        tidy(axes)
        described = _values(evaluation, "brier")
        svg = to_svg(drawn, identifier, f"Calibration in ten bins. {described}")
    caption = (
        "Calibration: on the diagonal, probabilities mean what they say. Larger dot, more rows."
    )
    return Picture(svg=svg, caption=caption)


def intervals(
    evaluation: Evaluation,
    models: Sequence[ModelEvaluation],
    metric: str,
    styles: Styles,
    identifier: str,
) -> Picture:
    """One metric of the models as points with their 95 % intervals."""
    names = [model.name for model in models]
    with figure(WIDTH, 0.55 + 0.27 * len(names)) as drawn:
        axes = drawn.add_subplot()
        best = evaluation.model(evaluation.best).metrics[metric]
        if best.low is not None and best.high is not None:
            axes.axvspan(best.low, best.high, color=BLUE, alpha=0.08, linewidth=0)
        for place, model in enumerate(models):
            found, colour = model.metrics[metric], styles[model.name].colour
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [place, place], color=colour, linewidth=2.2)
            if found.value is not None:
                marker = "D" if model.members else "s" if model.baseline else "o"
                axes.plot(found.value, place, marker, color=colour, markersize=6)
        axes.set_yticks(range(len(names)), [shortened(name, 20) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=5)
        axes.margins(x=0.08)
        tidy(axes, "x")
        described = _values(evaluation, metric, models)
        svg = to_svg(drawn, identifier, f"With 95 % intervals. {described}")
    direction = ": lower is better." if metric in LOWER_IS_BETTER else "."
    return Picture(svg=svg, caption=metric_label(metric) + direction)


def _best_last(evaluation: Evaluation) -> list[ModelEvaluation]:
    """Baselines first, the best model last, so that it is drawn on top."""
    return sorted(evaluation.models, key=lambda m: (not m.baseline, m.name == evaluation.best))


def _values(
    evaluation: Evaluation, metric: str, models: Sequence[ModelEvaluation] | None = None
) -> str:
    parts = []
    for model in models or evaluation.models:
        value = model.metrics[metric].value
        parts.append(f"{model.name} {'not defined' if value is None else f'{value:.3f}'}")
    return f"{metric_label(metric)}: {', '.join(parts)}."
