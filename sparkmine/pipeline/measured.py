"""Which rows an evaluation is of, as far as commits tell.

An evaluation measures the rows of its models' scores where a condition holds; the scores of a
model have a row for each row of the table that it read, and a recipe keeps all rows of its input.
So two evaluations are over the same rows when the chains of such stages end at one version of one
table and no condition on the way differs. That is sufficient, not necessary: otherwise the counts
decide, and where they agree, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sparkmine.errors import SparkmineError
from sparkmine.evaluate import Evaluation
from sparkmine.evaluate.changes import EvaluationPair
from sparkmine.lake import Lake
from sparkmine.lake.log import Commit
from sparkmine.stages import STAGES
from sparkmine.stages.base import artifact_folder
from sparkmine.stages.ensemble import Ensemble
from sparkmine.stages.evaluate import Evaluate, load_evaluation
from sparkmine.stages.features import Features
from sparkmine.stages.scored import ModelStage

# What of the evaluation's configuration says which rows, and what they are measured against.
_ABOUT_ROWS = ("where", "label", "group")


def evaluation_of(lake: Lake, line: Mapping[str, Any]) -> Evaluation | None:
    """The evaluation that a line of the ledger stands for; None if its file is gone."""
    folder = artifact_folder(lake, line["stage"], line["fingerprint"])
    try:
        return load_evaluation(folder)
    except (OSError, ValueError, SparkmineError):
        return None


def rows_of_both(
    lake: Lake,
    pair: EvaluationPair,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    commits: list[Commit | None],
) -> EvaluationPair:
    """The pair of two evaluations with what is known of their rows.

    Args:
        a, b: Their lines in the ledger.
        commits: Of these; None where one is gone.
    """
    assert pair.a is not None and pair.b is not None
    notes = list(pair.notes)
    if pair.a.task != pair.b.task:
        notes.append(f"The tasks differ ({pair.a.task} in A, {pair.b.task} in B).")
    if pair.a.threshold != pair.b.threshold:
        notes.append(
            f"The thresholds differ ({pair.a.threshold:g} in A, {pair.b.threshold:g} in B), and "
            "with them accuracy, precision, recall, F1 and MCC."
        )
    if a["fingerprint"] == b["fingerprint"]:
        return _told(pair, "same", "Both runs have the same evaluation, of the same rows.", notes)
    differ = [*_counts(pair.a, pair.b), *_conditions(commits)]
    if differ:
        text = f"The figures are of different rows: {'; '.join(differ)}."
        return _told(pair, "different", text, notes)
    origins = [None if commit is None else _origin(lake, commit) for commit in commits]
    if origins[0] is not None and origins[0] == origins[1]:
        text = f"Both evaluations are over the same rows, of {origins[0][0]}."
        return _told(pair, "same", text, notes)
    from_ = " and ".join("unknown" if o is None else o[0] for o in origins)
    text = (
        "There are as many rows and groups in both; whether they are the same rows is not known "
        f"(A and B read {from_})."
    )
    return _told(pair, "unknown", text, notes)


def _told(pair: EvaluationPair, rows: Any, text: str, notes: list[str]) -> EvaluationPair:
    return replace(pair, rows=rows, rows_note=text, notes=tuple(notes))


def _counts(a: Evaluation, b: Evaluation) -> list[str]:
    found = [("rows", a.rows, b.rows), (b.group_name, a.groups, b.groups)]
    if a.positives is not None and b.positives is not None:
        found.append(("positive rows", a.positives, b.positives))
    return [f"{one:,} {what} in A, {other:,} in B" for what, one, other in found if one != other]


def _conditions(commits: list[Commit | None]) -> list[str]:
    if None in commits:
        return []
    one, other = (((commit and commit.metadata) or {})["config"] for commit in commits)
    return [
        f"`{key}` is {one[key]} in A, {other[key]} in B"
        for key in _ABOUT_ROWS
        if one[key] != other[key]
    ]


def _origin(lake: Lake, commit: Commit) -> tuple[str, tuple[str, ...]] | None:
    """The table@version whose rows were measured, and the conditions on the way to them."""
    data, origin, narrowed = commit.metadata or {}, "", []
    while (table := _keeps_rows_of(data)) is not None:
        origin = f"{table}@{data['components']['inputs'][table]}"
        if data["config"].get("score"):
            narrowed.append(data["config"]["score"])
        try:
            data = lake.table(table).commit(data["followed"][table]).metadata or {}
        except (KeyError, SparkmineError):
            break  # the log does not go back so far; this far it is known
    return (origin, tuple(narrowed)) if origin else None


def _keeps_rows_of(data: Mapping[str, Any]) -> str | None:
    """The table of whose rows a stage has all; None for one that makes other rows."""
    kind, config = STAGES.get(data.get("kind", "")), data.get("config", {})
    if kind is None:
        return None
    if issubclass(kind, (Evaluate, Ensemble)):
        return str(next(iter(config["models" if kind is Evaluate else "members"].values())))
    return str(config["input"]) if issubclass(kind, (ModelStage, Features)) else None
