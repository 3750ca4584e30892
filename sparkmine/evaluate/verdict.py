"""Whether the best model beats the best baseline, and the sentence that says so.

It does when the interval of their paired difference lies on the better side of zero. An interval of
95 % errs in one of twenty cases; the best of n models on the very rows that are measured has had n
chances. So unless it was chosen beforehand, its interval is that of 1 - 0.05 / n (Bonferroni), by
which the error of all n together stays below 5 %. Choosing the best baseline there needs no such
care: it only makes the baseline look better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sparkmine.evaluate.curves import Confusion
from sparkmine.evaluate.intervals import Interval
from sparkmine.evaluate.metrics import LOWER_IS_BETTER, better, percent
from sparkmine.evaluate.tasks import metric_label

LOPSIDED_BELOW = 0.2

Outcome = Literal["beats", "undecided", "worse", "no comparison"]


def confidence_of(models: int, *, chosen_beforehand: bool) -> float:
    """The level of the interval that decides, where one of so many models is tested."""
    return 0.95 if chosen_beforehand else 1 - 0.05 / models


def best_of(
    names: Sequence[str], values: Mapping[str, Mapping[str, float]], metric: str
) -> str | None:
    """The first of the best; names whose metric is not defined come last."""
    best: str | None = None
    for name in names:
        if best is None or better(metric, values[name][metric], values[best][metric]):
            best = name
    return best


def outcome_of(metric: str, difference: Interval | None) -> Outcome:
    """What the interval of the difference to the baseline says."""
    if difference is None or difference.low is None or difference.high is None:
        return "no comparison"
    low, high = difference.low, difference.high
    if metric in LOWER_IS_BETTER:
        low, high = -high, -low
    if low > 0:
        return "beats"
    return "worse" if high < 0 else "undecided"


def verdict_of(
    outcome: Outcome,
    metric: str,
    best: str,
    value: float,
    baseline: str | None,
    baseline_value: float,
    difference: Interval | None,
    resamples: str,
    *,
    models: int,
    chosen_beforehand: bool,
) -> str:
    """The sentence; it names the level of the interval and what the level is for."""
    label = metric_label(metric)
    if baseline is None:
        return f"{best} is the best model ({label} {value:.3f}); no baseline was given to beat."
    if difference is None or difference.value is None or outcome == "no comparison":
        return (
            f"Whether {best} beats the best baseline, {baseline}, cannot be decided: "
            f"{label} is not defined on these rows."
        )
    says = {
        "beats": f"{best} beats the best baseline, {baseline}",
        "undecided": (
            f"{best} does not beat the best baseline, {baseline}, with 95\u00a0% confidence"
        ),
        "worse": f"{best} is worse than the best baseline, {baseline}",
    }[outcome]
    level = confidence_of(models, chosen_beforehand=chosen_beforehand)
    bounds = f"{100 * level:.4g}\u00a0% interval {difference.low:+.3f} to {difference.high:+.3f}"
    if level > 0.95:
        bounds += f", as the best of {models} models was chosen on these very rows"
    return (
        f"{says}: {label} {value:.3f} against {baseline_value:.3f}, "
        f"difference {difference.value:+.3f} ({bounds}; {resamples})."
    )


def lopsided_of(table: Confusion) -> str | None:
    """A warning where a class is rare; None where none is."""
    rows = [sum(row) for row in table.counts]
    share = [count / max(1, sum(rows)) for count in rows]
    if min(share) * len(rows) >= 2 * LOPSIDED_BELOW:
        return None
    least, most = share.index(min(share)), share.index(max(share))
    return (
        f"The classes are lopsided: only {percent(share[least])} of the rows are "
        f"“{table.classes[least]}”. Always answering “{table.classes[most]}” is right in "
        f"{percent(share[most])} of the rows, so accuracy alone says little; judge by "
        "the other metrics and the difference to the baseline."
    )
