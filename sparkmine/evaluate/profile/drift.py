"""How the columns of a table moved from one version to another.

Siddiqi, "Credit Risk Scorecards" (2006): the population stability index is the sum over buckets of
(new - old) · ln(new / old), of their shares of all rows. Numbers and times are cut at the deciles
of the old version, columns of few values at each value; missing values are a bucket too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparkmine.evaluate.profile.asking import ORIGIN, Answered, Answers, Column
from sparkmine.evaluate.profile.data import Change, Drift
from sparkmine.evaluate.profile.facts import middles, number_text, shown
from sparkmine.evaluate.profile.findings import moment
from sparkmine.stats.sketch import Bins

# Up to so many values, each is a bucket.
FEW_VALUES = 20
BUCKETS = 10
# In place of an empty share, whose logarithm is infinite.
LEAST = 1e-4


def psi(old: Sequence[float], new: Sequence[float]) -> float:
    """Population stability index of shares that add up to 1; empty ones count as 0.0001."""
    before = np.maximum(np.asarray(old, float), LEAST)
    after = np.maximum(np.asarray(new, float), LEAST)
    return float(((after - before) * np.log(after / before)).sum())


def drift(
    new: Answered,
    columns: Sequence[Column],
    old: Answered,
    old_columns: Sequence[Column],
    *,
    version: int | None,
    rows: int,
) -> Drift:
    """The changes from `old` to `new`; `version` and `rows` are those of the old one."""
    mine = {column.name: column for column in columns}
    theirs = {column.name: column for column in old_columns}
    changes = [
        _change(column, new.columns[name], theirs[name], old.columns[name])
        for name, column in mine.items()
        if name in theirs
    ]
    # What changed its type first.
    changes.sort(key=lambda one: (not one.note, -(one.psi or 0.0), -abs(one.missing_share or 0.0)))
    return Drift(
        version=version,
        rows=rows,
        added=tuple(name for name in mine if name not in theirs),
        removed=tuple(name for name in theirs if name not in mine),
        changes=tuple(changes),
    )


def _change(column: Column, new: Answers, before: Column, old: Answers) -> Change:
    missing = None
    if new.missing.rows and old.missing.rows:
        missing = new.missing.share - old.missing.share
    if column.kind != before.kind:
        note = f"its type was {before.type}, it is {column.type}"
        return Change(
            column=column.name, psi=None, missing_share=missing, mean=None, distinct=None, note=note
        )
    mean = distinct = None
    after, then = new.moments, old.moments
    if after is not None and then is not None and after.count and then.count:
        mean = after.mean - then.mean
    if new.counts is not None and old.counts is not None:
        distinct = new.counts.distinct - old.counts.distinct
    buckets = _buckets(column, new, old)
    comparable = bool(buckets) and missing is not None
    return Change(
        column=column.name,
        psi=psi([b[1] for b in buckets], [b[2] for b in buckets]) if comparable else None,
        missing_share=missing,
        mean=mean,
        distinct=distinct,
        buckets=buckets if comparable else (),
        note="" if column.type == before.type else f"its type was {before.type}",
    )


def _buckets(column: Column, new: Answers, old: Answers) -> tuple[tuple[str, float, float], ...]:
    """(label, old share, new share) of the rows; nothing for columns without values to compare."""
    if new.counts is None or old.counts is None:
        return ()
    few = max(new.counts.distinct, old.counts.distinct) <= FEW_VALUES
    if column.kind in ("number", "time") and not few:
        assert new.bins is not None and old.bins is not None
        counted = _by_decile(column, new.bins, old.bins)
    else:
        counted = _by_value(column, new, old)
    if new.missing.missing or old.missing.missing:
        counted.append(("missing", old.missing.missing, new.missing.missing))
    before = max(sum(was for _, was, _ in counted), 1)
    after = max(sum(now for _, _, now in counted), 1)
    return tuple((label, was / before, now / after) for label, was, now in counted)


def _by_decile(column: Column, new: Bins, old: Bins) -> list[tuple[str, int, int]]:
    edges = (old if old.count else new).buckets(BUCKETS)
    counted = []
    for bins in (old, new):
        # A value on an edge belongs below it: an edge may be the value of many rows.
        at = np.searchsorted(edges, middles(bins), side="left")
        counted.append(np.bincount(at, weights=bins.counts, minlength=len(edges) + 1).astype(int))
    names = [_edge(column, edge) for edge in edges]
    labels = [f"≤ {names[0]}"] if names else ["all"]
    labels += [f"≤ {name}" for name in names[1:]]
    labels += [f"> {names[-1]}"] if names else []
    return list(zip(labels, counted[0].tolist(), counted[1].tolist(), strict=True))


def _edge(column: Column, edge: float) -> str:
    return moment(edge + ORIGIN) if column.kind == "time" else number_text(edge)


def _by_value(column: Column, new: Answers, old: Answers) -> list[tuple[str, int, int]]:
    """Frequent values of either version, and all others together.

    A value that is frequent in one version and below the thousand most frequent ones of the other
    counts as absent there.
    """
    assert new.counts is not None and old.counts is not None
    before, after = dict(old.counts.top()), dict(new.counts.top())
    wanted = list(dict.fromkeys([*list(before)[:FEW_VALUES], *list(after)[:FEW_VALUES]]))
    if column.kind == "number":
        wanted.sort(key=float)
    elif column.kind != "text":
        wanted.sort()
    counted = [(shown(key), before.get(key, 0), after.get(key, 0)) for key in wanted]
    then = old.counts.rows - sum(was for _, was, _ in counted)
    others = new.counts.rows - sum(now for _, _, now in counted)
    return [*counted, ("all others", then, others)] if then or others else counted
