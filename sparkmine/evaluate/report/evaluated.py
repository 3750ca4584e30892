"""What the report's section on models draws, by the task of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkmine.evaluate.comparison import Evaluation, ModelEvaluation
from sparkmine.evaluate.curves import Confusion
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, better
from sparkmine.evaluate.report import model_charts
from sparkmine.evaluate.report.pictures import LineStyle, Picture, line_styles

# Metrics whose intervals are drawn beside the primary one.
_BESIDE = {
    "binary": ("pr_auc", "f1", "accuracy"),
    "multiclass": ("accuracy", "mcc", "roc_auc_macro"),
    "regression": ("mae", "r2"),
}
# Tables of more classes are too wide for a page; their largest confusions are listed.
_DRAWN_CLASSES = 12
_CONFUSIONS = 15


def pictures(evaluation: Evaluation, prefix: str) -> dict[str, Any]:
    """What the template's section needs; the ids of its pictures begin with `prefix`."""
    names = [model.name for model in evaluation.models]
    greys = [model.name for model in evaluation.models if model.baseline]
    styles: dict[str, LineStyle] = line_styles(names, greys, evaluation.best)
    metrics = evaluation.metric_names
    beside = dict.fromkeys([evaluation.primary, *_BESIDE[evaluation.task]])
    shown = [metric for metric in beside if metric in (*metrics, evaluation.primary)]

    def intervals(models: Sequence[ModelEvaluation], identifier: str) -> list[Picture]:
        start = f"{prefix}-{identifier}"
        return [
            model_charts.intervals(evaluation, models, metric, styles, f"{start}-{metric}")
            for metric in shown
        ]

    # Ensembles over the same members share their pictures.
    together: dict[tuple[str, ...], list[ModelEvaluation]] = {}
    for model in evaluation.models:
        if model.members:
            together.setdefault(model.members, []).append(model)
    return {
        "lowest": LOWER_IS_BETTER,
        "metrics": metrics,
        "styles": styles,
        "best_values": {metric: _best_value(evaluation.models, metric) for metric in metrics},
        "curves": _curves(evaluation, styles, prefix),
        "all_models": intervals(evaluation.models, "models"),
        "ensembles": [
            intervals([*ensembles, *map(evaluation.model, members)], f"ensemble-{place}")
            for place, (members, ensembles) in enumerate(together.items())
        ],
        "confusions": [
            (model.name, model.confusion, _largest(model.confusion))
            for model in evaluation.models
            if model.confusion is not None
        ],
        "drawn_classes": _DRAWN_CLASSES,
    }


def _curves(evaluation: Evaluation, styles: dict[str, LineStyle], prefix: str) -> list[Picture]:
    if evaluation.task == "binary":
        return [
            model_charts.roc(evaluation, styles, f"{prefix}-roc"),
            model_charts.precision_recall(evaluation, styles, f"{prefix}-pr"),
            model_charts.gain(evaluation, styles, f"{prefix}-gain"),
            model_charts.calibration(evaluation, styles, f"{prefix}-calibration"),
        ]
    names = dict.fromkeys([evaluation.best, evaluation.best_baseline])
    return [
        model_charts.scatter(evaluation.model(name), styles, f"{prefix}-scatter-{place}")
        for place, name in enumerate(names)
        if name is not None and evaluation.model(name).scatter is not None
    ]


def _largest(table: Confusion) -> list[tuple[str, str, int]]:
    """The largest confusions: actual class, predicted class, rows."""
    cells = [
        (actual, predicted, count)
        for actual, row in zip(table.classes, table.counts, strict=True)
        for predicted, count in zip(table.classes, row, strict=True)
        if actual != predicted and count
    ]
    return sorted(cells, key=lambda cell: -cell[2])[:_CONFUSIONS]


def _best_value(models: tuple[ModelEvaluation, ...], metric: str) -> float | None:
    best: float | None = None
    for model in models:
        value = model.metrics[metric].value
        if better(metric, value, best):
            best = value
    return best
