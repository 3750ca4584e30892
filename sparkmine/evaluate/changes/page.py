"""A comparison of two runs as one HTML file, of the report's own parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparkmine.evaluate.changes import charts, judge
from sparkmine.evaluate.changes.data import EvaluationPair, RunComparison, StagePair
from sparkmine.evaluate.metrics import LOWER_IS_BETTER
from sparkmine.evaluate.report.pages import environment, write_page


def render(comparison: RunComparison, path: str | Path) -> Path:
    """Write the page to `path`; its folder is made. The same data gives the same bytes."""
    return write_page(to_html(comparison), Path(path))


def to_html(comparison: RunComparison) -> str:
    """The page as text."""
    return (
        environment()
        .get_template("changes/template.html.j2")
        .render(
            c=comparison,
            runs=(("A", comparison.a), ("B", comparison.b)),
            evaluations=[_evaluation(e, i) for i, e in enumerate(comparison.evaluations)],
            quality=[stage for stage in comparison.stages if _has_reasons(stage)],
            lowest=LOWER_IS_BETTER,
            colours={"A": charts.A, "B": charts.B},
        )
    )


def _evaluation(pair: EvaluationPair, place: int) -> dict[str, Any]:
    """What the template needs beside the pair."""
    models, primaries = judge.models_of(pair), judge.primaries_of(pair)
    known = [one for m in models for one in m.metrics.values() if one.interval is not None]
    return {
        "pair": pair,
        "known": bool(known),
        "paired": all(one.paired for one in known),
        "sides": (("A", pair.a), ("B", pair.b)),
        "verdict": judge.verdict(pair),
        "models": models,
        "metrics": judge.metrics_of(pair),
        "pictures": [
            charts.intervals(models, metric, f"evaluation-{place}-{metric}") for metric in primaries
        ],
    }


def _has_reasons(stage: StagePair) -> bool:
    return any(side is not None and side.reasons for side in (stage.a, stage.b))
