"""Two runs of one warehouse beside each other, from the ledger and the commits.

The ledger says what each run did with each stage and which version holds the result; that version's
commit says what the result depends on. Costs one read of the ledger, and a look at the log for each
stage whose results differ: no other Spark job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparkmine.errors import ConfigError, SparkmineError
from sparkmine.evaluate.changes import (
    ChampionPair,
    ChampionSide,
    EvaluationPair,
    RunComparison,
    RunSide,
    StageChange,
    StagePair,
    StageSide,
)
from sparkmine.lake import Lake, ledger
from sparkmine.lake.log import Commit
from sparkmine.pipeline.fingerprint import ABSENT, Change, changes
from sparkmine.pipeline.measured import evaluation_of, rows_of_both
from sparkmine.stages.shown import notes_of

_LONGEST = 300
Line = Mapping[str, Any]


def compare(lake: Lake, a: str, b: str) -> RunComparison:
    """What differs between the runs `a` and `b`.

    Raises:
        ConfigError: one of them does not exist, or they are one.
    """
    if a == b:
        raise ConfigError(f"run {a!r} cannot be compared with itself; name two runs")
    lines = ledger.read(lake)
    one, other = (_Run(lake, ledger.of_run(lines, run_id)) for run_id in (a, b))
    names = merged(list(one.stages), list(other.stages))
    both = [(name, one.stages.get(name), other.stages.get(name)) for name in names]
    return RunComparison(
        a=one.side(),
        b=other.side(),
        stages=tuple(_stage(lake, name, left, right) for name, left, right in both),
        evaluations=tuple(
            _evaluation(lake, name, left, right)
            for name, left, right in both
            if _is("evaluate", left, right)
        ),
        champions=tuple(
            _champion(left, right) for _, left, right in both if _is("champion", left, right)
        ),
        notes=tuple(_notes(one, other)),
    )


class _Run:
    """The lines of one run."""

    def __init__(self, lake: Lake, lines: Sequence[Line]) -> None:
        self.lines = lines
        # The last one counts: a stage whose rows did not add up has committed and then failed.
        self.stages = {line["stage"]: line for line in lines if line["stage"]}
        self.status, self.seconds = ledger.outcome(lines)

    def side(self) -> RunSide:
        first = self.lines[0]
        return RunSide(
            run_id=first["run_id"],
            pipeline=first["pipeline"],
            date=first["date"],
            started=f"{first['at']:%Y-%m-%d %H:%M:%S}",
            code_version=first["code_version"],
            seed=first["seed"],
            status=self.status,
            seconds=self.seconds,
            error=next((x["error"] for x in reversed(self.lines) if not x["stage"]), ""),
        )


def merged(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """All names in the order of `b`; those of `a` alone after the one that they follow there."""
    found = list(b)
    place = 0
    for name in a:
        if name in found:
            place = found.index(name) + 1
        else:
            found.insert(place, name)
            place += 1
    return found


def _is(kind: str, *lines: Line | None) -> bool:
    return any(line is not None and line["kind"] == kind for line in lines)


def _has_result(line: Line | None) -> bool:
    return line is not None and line["version_written"] is not None


def _metrics(line: Line) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line["metrics"])
    return found


def _notes(one: _Run, other: _Run) -> Iterator[str]:
    a, b = one.side(), other.side()
    if a.pipeline != b.pipeline:
        yield (
            f"The runs are of two pipelines, {a.pipeline} and {b.pipeline}; stages of one name are "
            "compared."
        )
    for name, run in (("A", a), ("B", b)):
        if run.status not in (ledger.SUCCEEDED, ledger.FAILED):
            yield f"Run {name} has not finished: it was killed, or is running now."
        elif run.status == ledger.FAILED:
            yield f"Run {name} failed; it has no line of the stages after that."


def _stage(lake: Lake, name: str, a: Line | None, b: Line | None) -> StagePair:
    pair = StagePair(
        name=name,
        kind=(b or a or {})["kind"],
        a=None if a is None else _side(a),
        b=None if b is None else _side(b),
        same=None,
    )
    if a is None or b is None or not (_has_result(a) and _has_result(b)):
        return replace(pair, note=_lacks(a, b))
    place = [(line["table"], line["version_written"], line["fingerprint"]) for line in (a, b)]
    if place[0] == place[1]:
        return replace(pair, same=True)
    one, other = commit_of(lake, a), commit_of(lake, b)
    if one is None or other is None:
        gone = " and ".join(run for run, at in (("A", one), ("B", other)) if at is None)
        return replace(pair, note=f"What differs is not known: the commit of run {gone} is gone.")
    old, new = one.metadata or {}, other.metadata or {}
    found = tuple(in_words(x) for x in changes(old["components"], new["components"]))
    note = ""
    if not found:
        why = (new if other.version > one.version else old)["reason"]
        note = f"Both depend on the same; version {max(one.version, other.version)}: {why}."
    return replace(pair, same=False, changes=found, note=note)


def _lacks(a: Line | None, b: Line | None) -> str:
    words = []
    for name, line in (("A", a), ("B", b)):
        if line is None:
            words.append(f"run {name} has no line of it")
        elif not _has_result(line):
            words.append(f"it failed in run {name}")
    text = ", ".join(words)
    return f"{text[0].upper()}{text[1:]}."


def commit_of(lake: Lake, line: Line) -> Commit | None:
    """The commit of a line's result; None if the log has lost it, or the table was made again."""
    try:
        commit = lake.table(line["table"]).commit(line["version_written"])
    except SparkmineError:
        return None
    data = commit.metadata or {}
    return commit if data.get("fingerprint") == line["fingerprint"] else None


def _side(line: Line) -> StageSide:
    metrics, failed = _metrics(line), line["status"] == ledger.FAILED
    counted = "reasons" in metrics or bool(notes_of(metrics))
    return StageSide(
        status="done" if line["status"] == ledger.SUCCEEDED else line["status"],
        rows_in=line["rows_in"],
        kept=line["rows_out"],
        quarantined=line["quarantined"],
        removed=line["removed"],
        seconds=line["seconds"],
        table=line["table"],
        version=line["version_written"],
        read=dict(line["versions_read"] or {}),
        why=line["error"] if failed else line["reason"],
        reasons=metrics.get("reasons", {}) | notes_of(metrics) if counted else None,
    )


def in_words(change: Change) -> StageChange:
    """A change as the page and the console show it: values cut, of lists what the other lacks."""
    if change.what == "file":
        a, b = (None if v is ABSENT else "there" for v in (change.old, change.new))
        if a == b:
            a, b = "as it was", "other content"
        return StageChange(what="file", name=change.name, a=a, b=b)
    old, new = change.old, change.new
    if isinstance(old, list) and isinstance(new, list):
        # Only what the other lacks: of a recipe of fifty operators, the one that was added.
        lost, gained = [v for v in old if v not in new], [v for v in new if v not in old]
        if lost or gained:
            old, new = lost or ABSENT, gained or ABSENT
    return StageChange(what=change.what, name=change.name, a=_text(old), b=_text(new))


def _text(value: Any) -> str | None:
    if value is ABSENT:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _evaluation(lake: Lake, name: str, a: Line | None, b: Line | None) -> EvaluationPair:
    notes: list[str] = []
    found = []
    for run, line in (("A", a), ("B", b)):
        evaluation = None
        if line is not None and _has_result(line):
            evaluation = evaluation_of(lake, line)
            if evaluation is None:
                notes.append(f"The files of run {run}'s evaluation are gone, or cannot be read.")
        found.append(evaluation)
    pair = EvaluationPair(stage=name, a=found[0], b=found[1], notes=tuple(notes))
    if a is None or b is None or None in found:
        return pair
    return rows_of_both(lake, pair, a, b, [commit_of(lake, line) for line in (a, b)])


def _champion(a: Line | None, b: Line | None) -> ChampionPair:
    metrics = [_metrics(x) if x is not None and _has_result(x) else None for x in (a, b)]
    folders = [found and found["champion"] for found in metrics]
    one, other = (
        None
        if found is None
        else ChampionSide(
            version=found["version"],
            model=found["best"],
            promoted=found["promoted"] and x is not None and x["status"] == ledger.SUCCEEDED,
            why=found["why"] or found["evaluation"],
        )
        for found, x in zip(metrics, (a, b), strict=True)
    )
    table = (b or a or {})["table"]
    same = folders[0] is not None and folders[0] == folders[1]
    return ChampionPair(table=table, a=one, b=other, same=same)
