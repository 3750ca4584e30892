"""What commands print of runs, replays and upkeep, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkmine.clean.findings import Reasons
    from sparkmine.evaluate.changes import EvaluationPair, RunComparison, StagePair
    from sparkmine.evaluate.intervals import Interval
    from sparkmine.lake.maintenance import Upkeep
    from sparkmine.pipeline.replay import Outcome

DAY = 86400.0


def run_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ledger's runs, one a line."""
    from sparkmine.lake import ledger

    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_run.setdefault(row["run_id"], []).append(row)
    lines = [("run", "pipeline", "date", "status", "stages run", "up to date", "seconds")]
    for run_id, found in by_run.items():
        status, seconds = ledger.outcome(found)
        stages = [row["status"] for row in found if row["stage"]]
        lines.append(
            (
                run_id,
                found[0]["pipeline"],
                found[0]["date"],
                status,
                str(stages.count("succeeded")),
                str(stages.count("up to date")),
                "" if seconds is None else f"{seconds:.1f}",
            )
        )
    return _columns(lines)


def stage_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The stages of one run, one a line."""
    lines = [
        (
            "stage",
            "status",
            "rows in",
            "rows out",
            "quarantined",
            "removed",
            "seconds",
            "table",
            "reason or error",
        )
    ]
    for row in rows:
        if row["stage"]:
            numbers = [row[key] for key in ("rows_in", "rows_out", "quarantined", "removed")]
            lines.append(
                (
                    row["stage"],
                    row["status"],
                    *("" if number is None else f"{number:,}" for number in numbers),
                    "" if row["seconds"] is None else f"{row['seconds']:.1f}",
                    f"{row['table']}@{row['version_written']}",
                    row["error"] or row["reason"],
                )
            )
    return _columns(lines)


def quarantine_lines(table: str, found: Reasons) -> list[str]:
    """The reasons of the newest run that left rows in `table`, with samples."""
    others = f" (others: {', '.join(found.others)})" if found.others else ""
    head = f"{table}: {found.rows:,} rows of run {found.run_id}{others}"
    if not found.reasons:
        return [head]
    lines = [("reason", "column", "rows", "sample", "source")]
    for one in found.reasons:
        first, *more = one.samples or [("", "")]
        lines.append((one.rule, one.column, f"{one.rows:,}", *first))
        lines += [("", "", "", *sample) for sample in more]
    return [head, *_columns(lines)]


def champion_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The versions of a champion, the newest first; the first line is the model in use."""
    if not rows:
        return ["no model has passed yet"]
    lines = [("version", "model", "metric", "value", "95 % interval", "date", "data", "why")]
    for row in reversed(rows):
        bounds = "" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}"
        value = "" if row["value"] is None else f"{row['value']:.4f}"
        number = str(row["version"])
        lines.append(
            (
                number,
                row["model"],
                row["metric"],
                value,
                bounds,
                row["date"],
                row["data"],
                row["why"],
            )
        )
    return _columns(lines)


def _columns(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def comparison_lines(found: RunComparison) -> list[str]:
    """What differs between two runs, in short."""
    head = ("run", "", "pipeline", "date", "status", "seconds", "seed", "code")
    runs = [
        (
            name,
            run.run_id,
            run.pipeline,
            run.date,
            run.status,
            "" if run.seconds is None else f"{run.seconds:.1f}",
            "" if run.seed is None else str(run.seed),
            run.code_version,
        )
        for name, run in (("A", found.a), ("B", found.b))
    ]
    lines = [*_columns([head, *runs]), *found.notes, ""]
    lines.append(f"{len(found.changed)} of {len(found.stages)} stages have other results")
    lines += [f"  {stage.name}: {_change_text(stage)}" for stage in found.changed]
    for note in dict.fromkeys(stage.note for stage in found.unknown):
        names = ", ".join(stage.name for stage in found.unknown if stage.note == note)
        lines.append(f"  {names}: {note}")
    for pair in found.evaluations:
        lines += ["", *_evaluation_lines(pair)]
    for champion in found.champions:
        models = [(side and side.model) or "none" for side in (champion.a, champion.b)]
        what = "the same model" if champion.same else f"{models[0]} after A, {models[1]} after B"
        lines += ["", f"champion {champion.table}: {what}"]
    return [*lines, ""]


def _change_text(stage: StagePair) -> str:
    if not stage.changes:
        return stage.note
    first, *more = stage.changes
    values = "" if first.what == "file" else f" {first.a or 'none'} → {first.b or 'none'}"
    others = f", and {len(more)} more" if more else ""
    name = first.name if first.what == "setting" else f"{first.what} {first.name}".rstrip()
    return f"{name}{values}{others}"


def _evaluation_lines(pair: EvaluationPair) -> list[str]:
    """The primary metric of every model, and which run has the better one."""
    from sparkmine.evaluate.changes import models_of
    from sparkmine.evaluate.changes.judge import primaries_of, verdict
    from sparkmine.evaluate.tasks import metric_label

    lines = [f"{pair.stage}: {verdict(pair)}", *filter(None, [pair.rows_note]), *pair.notes]
    for metric in primaries_of(pair):
        table = [(metric_label(metric), "A", "95 %", "B", "95 %", "change", "95 %", "better")]
        for model in models_of(pair):
            one = model.metrics[metric]
            change = "" if one.change is None else f"{one.change:+.4f}"
            bounds = _figure(one.interval)[1] if one.interval else ""
            sure = one.beyond_chance if one.interval else one.apart
            how = f"{one.better}{', beyond chance' if sure else ''}"
            word = f"only in {model.only}" if model.only else how
            table.append((model.name, *_figure(one.a), *_figure(one.b), change, bounds, word))
        lines += [f"  {line}" for line in _columns(table)]
    return lines


def _figure(found: Interval | None) -> tuple[str, str]:
    if found is None or found.value is None:
        return "", ""
    bounds = "" if found.low is None else f"{found.low:.4f} to {found.high:.4f}"
    return f"{found.value:.4f}", bounds


def outcome_lines(outcome: Outcome) -> list[str]:
    """What the replay of a stage gave, with the rows that differ below."""
    rows = "" if outcome.rows is None else f", {outcome.rows:,} rows"
    reason = f": {outcome.reason}" if outcome.reason else ""
    first = f"{outcome.stage}: {outcome.status}{rows}, {outcome.seconds:.1f} s{reason}"
    return [first, *(f"    {example}" for example in outcome.examples)]


def upkeep_line(upkeep: Upkeep, days: int, dry_run: bool) -> str:
    """What was done to a table, or would be."""
    from sparkmine.lake.maintenance import LISTED

    would = "would be " if dry_run else ""
    kept_days = f"{upkeep.retention / DAY:g} days"
    size = upkeep.bytes / (1 << 20)
    parts = [f"{upkeep.table}: {upkeep.files:,} files, {size:,.1f} MiB"]
    if upkeep.compacted:
        parts.append(f"{upkeep.compacted:,} small files {would}put into {upkeep.into:,}")
    if upkeep.held is not None:
        parts.append(
            f"not vacuumed: runs of the last {days} days need version {upkeep.held}, which the "
            f"table's retention ({kept_days}) does not keep; set the table's property "
            "delta.deletedFileRetentionDuration to more, or give fewer --days"
        )
    elif upkeep.removed:
        count = f"{upkeep.removed:,}{' or more' if upkeep.removed >= LISTED else ''}"
        parts.append(f"{count} files that went more than {kept_days} ago {would}removed")
    elif not upkeep.compacted:
        parts.append("nothing to do")
    return "; ".join(parts)
