"""The command line: `sparkmine COMMAND`; `sparkmine --help` lists the commands.

Exit codes: 0 on success, 1 for a coded error, 2 for wrong usage, 130 when interrupted. Errors
are one line on standard error; the stack trace is in the run's log.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import sparkmine
from sparkmine.errors import ConfigError, SparkmineError

if TYPE_CHECKING:
    from sparkmine.lake import Lake
    from sparkmine.pipeline import Pipeline

log = logging.getLogger("sparkmine")

TERMINATED, INTERRUPTED = "TERMINATED: the run was stopped", "INTERRUPTED: the run was stopped"
EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    return guarded(lambda: int(options.command(options)))


def guarded(action: Callable[[], int]) -> int:
    """Do it; turn errors and signals into one line on standard error and an exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return action()
    except SparkmineError as error:
        print(str(error), file=sys.stderr)
        return EXIT_ERROR
    except _Terminated:
        print(f"{TERMINATED}; run again to resume", file=sys.stderr)
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        print(f"{INTERRUPTED}; run again to resume", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as with `sparkmine runs | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from sparkmine.pipeline import coded

        log.exception("unexpected")
        print(str(coded(error)), file=sys.stderr)
        return EXIT_ERROR


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as an exception, so that locks are freed and the ledger gets its line.

    A KeyboardInterrupt, because that is what py4j expects when a call is interrupted: it then
    drops the connection, whose late answer would be taken for that of the next call.
    """


def _terminated(number: int, frame: Any) -> NoReturn:
    raise _Terminated(TERMINATED)


def _interrupted(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt(INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sparkmine", description="Distributed data mining on Spark, Delta and Horovod."
    )
    parser.add_argument("--version", action="version", version=f"sparkmine {sparkmine.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a pipeline; stages that are up to date are skipped")
    _pipeline_options(run)
    run.add_argument(
        "--from", dest="start", metavar="STAGE", help="leave stages before it as they are"
    )
    run.add_argument("--only", metavar="STAGE", help="leave all other stages as they are")
    run.add_argument("--force", action="store_true", help="run stages even if nothing changed")
    run.add_argument("--log-json", action="store_true", help="print JSON lines")
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="show what a run would do, and why")
    _pipeline_options(plan)
    plan.set_defaults(command=_plan)

    runs = commands.add_parser("runs", help="list the runs in a warehouse")
    runs.add_argument("--warehouse", default="warehouse/retail", help="its folder or URI")
    runs.add_argument("--rebuild", action="store_true", help="rebuild the ledger from the commits")
    runs.add_argument("run", nargs="?", metavar="RUN", help="show the stages of this run")
    runs.set_defaults(command=_runs)

    quarantine = commands.add_parser(
        "quarantine", help="show the rows that broke rules, and why; send them through again"
    )
    quarantine.add_argument("table", metavar="TABLE", help="a cleaned table, or its quarantine")
    quarantine.add_argument("--warehouse", help="its folder or URI (warehouse/retail)")
    quarantine.add_argument("--run", metavar="RUN", help="of this run; the newest if left out")
    quarantine.add_argument(
        "--again",
        dest="config",
        metavar="CONFIG",
        help="send the rows of the newest result through again, by the rules of this YAML file",
    )
    _settings_options(quarantine)
    quarantine.set_defaults(command=_quarantine)

    report = commands.add_parser("report", help="print where the report of a run is")
    report.add_argument("--warehouse", default="warehouse/retail", help="its folder or URI")
    report.add_argument("run", nargs="?", metavar="RUN", help="a run's id; the newest if left out")
    report.set_defaults(command=_report)

    replay = commands.add_parser(
        "replay", help="run the stages of a run again, on what they read, and compare the results"
    )
    replay.add_argument("--warehouse", default="warehouse/retail", help="its folder or URI")
    replay.add_argument("run", metavar="RUN", help="a run's id, from `sparkmine runs`")
    replay.set_defaults(command=_replay)

    maintain = commands.add_parser(
        "maintain", help="compact and vacuum the tables; what runs have read lately stays"
    )
    _pipeline_options(maintain)
    maintain.add_argument(
        "--days", type=int, default=30, help="keep what runs of these days have read (default 30)"
    )
    maintain.add_argument("--dry-run", action="store_true", help="show what would be done")
    maintain.set_defaults(command=_maintain)

    profile = commands.add_parser("profile", help="look at a table: one scan, one HTML page")
    profile.add_argument("table", metavar="TABLE", help="its name, such as clean/transactions")
    profile.add_argument("--version", type=int, metavar="N", help="the newest if left out")
    profile.add_argument("--against", type=int, metavar="N", help="show the drift since this one")
    profile.add_argument("--columns", metavar="A,B", help="look at these columns only")
    profile.add_argument("--output", metavar="FILE", help="the page; by default in this folder")
    profile.add_argument("--warehouse", default="warehouse/retail", help="its folder or URI")
    profile.set_defaults(command=_profile)

    doctor = commands.add_parser("doctor", help="check this machine and say what to do")
    doctor.add_argument("--ranks", type=int, default=2, help="training ranks that must fit")
    doctor.set_defaults(command=_doctor)
    return parser


def _pipeline_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="the pipeline's YAML file")
    parser.add_argument("--warehouse", help="another warehouse than the file's")
    _settings_options(parser)


def _settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter, or STAGE.KEY; may be repeated",
    )
    parser.add_argument("--date", help="the run's date, ISO; ${date} in the file")


def _load(options: argparse.Namespace) -> Pipeline:
    from sparkmine.pipeline import load_pipeline

    return load_pipeline(
        options.config,
        settings=options.settings,
        date=options.date,
        warehouse=options.warehouse,
    )


def _run(options: argparse.Namespace) -> int:
    from sparkmine.console import console

    run_pipeline(
        _load(options),
        console(options.log_json),
        start=options.start,
        only=options.only,
        force=options.force,
    )
    return 0


def run_pipeline(pipeline: Pipeline, output: Any, **selection: Any) -> None:
    """Run a checked pipeline and show it on a console (`sparkmine.console`)."""
    from sparkmine.pipeline import Runner, new_run_id

    for name in (selection.get("start"), selection.get("only")):
        if name is not None:
            pipeline.stage(name)
    run_id = new_run_id()
    lake, log_file = _open(pipeline.warehouse, pipeline.name, run_id, pipeline.spark)
    try:
        with output:
            commits = Runner(pipeline, lake, output, run_id).run(**selection)
    except SparkmineError:
        log.exception("run %s failed", run_id)
        if log_file is not None:
            print(f"log: {log_file}", file=sys.stderr)
        raise
    for commit in commits.values():
        data = commit.metadata or {}
        if data["kind"] == "report":
            output({"event": "report", "file": f"{lake.root}/{data['metrics']['file']}"})
        if "verdict" in data["metrics"]:
            output({"event": "verdict", "text": data["metrics"]["verdict"]})


def _open(
    warehouse: str, name: str, run_id: str | None = None, conf: Any = None
) -> tuple[Lake, Path | None]:
    """The lake, and the log file of the run; Spark starts here and not before."""
    from sparkmine.lake import Lake
    from sparkmine.lake.table import check_writable
    from sparkmine.sessions import session

    log_file = None
    if "://" not in warehouse:
        check_writable(Path(warehouse))
        folder = Path(warehouse).absolute() / "_logs"
        log_file = folder / f"{run_id or 'commands'}.log"
        folder.mkdir(exist_ok=True)
        handler = logging.FileHandler(log_file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger("sparkmine")
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    spark = session(f"sparkmine {name}", conf=conf, log_file=log_file)
    # Spark's own handler calls the JVM in the middle of the call that it interrupts.
    signal.signal(signal.SIGINT, _interrupted)
    return Lake(warehouse, spark), log_file


def _plan(options: argparse.Namespace) -> int:
    from sparkmine.pipeline import Runner

    pipeline = _load(options)
    lake, _ = _open(pipeline.warehouse, pipeline.name, conf=pipeline.spark)
    decisions = Runner(pipeline, lake, lambda event: None).decisions
    stale: set[str] = set()
    for stage in pipeline.stages:
        changed = [name for name in pipeline.after[stage.name] if name in stale]
        if changed:
            stale.add(stage.name)
            print(f"{stage.name}: runs, because stage {changed[0]} runs")
            continue
        decision = decisions.decide(stage)
        if decision.reason or decision.last is None:
            stale.add(stage.name)
            print(f"{stage.name}: runs, because {decision.reason}")
        else:
            decisions.follow(stage, decision.last, decision.newest)
            print(f"{stage.name}: up to date ({stage.writes} version {decision.last.version})")
    return 0


def _existing(warehouse: str) -> Lake:
    if "://" not in warehouse and not Path(warehouse, "_ledger").is_dir():
        raise ConfigError(
            f"there is no run in {warehouse}; name another with --warehouse, or run a pipeline"
        )
    return _open(warehouse, "ledger")[0]


def _runs(options: argparse.Namespace) -> int:
    from sparkmine.lake import ledger
    from sparkmine.listing import run_lines, stage_lines

    if options.rebuild:
        lake = _open(options.warehouse, "ledger")[0]
        print(f"{ledger.rebuild(lake)} lines")
    else:
        lake = _existing(options.warehouse)
    rows = ledger.read(lake)
    if options.run is not None:
        rows = [row for row in rows if row["run_id"] == options.run]
        print("\n".join(stage_lines(rows, options.run)))
    else:
        print("\n".join(run_lines(rows)))
    return 0


def _replay(options: argparse.Namespace) -> int:
    from collections import Counter

    from sparkmine.listing import outcome_lines
    from sparkmine.pipeline.fingerprint import code_version
    from sparkmine.pipeline.replay import Replay, problem

    began = time.monotonic()
    replay = Replay(_existing(options.warehouse), options.run)
    print(
        f"run {replay.run_id}: {replay.pipeline}, date {replay.date}, {len(replay.lines)} stages "
        f"that it ran, warehouse {replay.lake.root}",
        flush=True,
    )
    if replay.code != code_version():
        print(f"its sparkmine was {replay.code}, this is {code_version()}", flush=True)
    outcomes = []
    for outcome in replay.stages():
        outcomes.append(outcome)
        print("\n".join(outcome_lines(outcome)), flush=True)
    counts = Counter(outcome.status for outcome in outcomes)
    found = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"replayed in {time.monotonic() - began:.1f} s: {found}")
    error = problem(outcomes)
    if error is not None:
        raise error
    return 0


def _maintain(options: argparse.Namespace) -> int:
    from sparkmine.listing import upkeep_line
    from sparkmine.pipeline.maintain import maintain_pipeline

    if options.days < 0:
        raise ConfigError(f"--days {options.days}: give a number of days from 0 on")
    pipeline = _load(options)
    lake, _ = _open(pipeline.warehouse, pipeline.name, conf=pipeline.spark)
    began, tables = time.monotonic(), 0
    for upkeep in maintain_pipeline(pipeline, lake, options.days, options.dry_run):
        tables += 1
        print(upkeep_line(upkeep, options.days, options.dry_run), flush=True)
    print(
        f"{'looked at' if options.dry_run else 'maintained'} {tables} tables in "
        f"{time.monotonic() - began:.1f} s; what runs of the last {options.days} days have read "
        "is kept"
    )
    return 0


def _quarantine(options: argparse.Namespace) -> int:
    from sparkmine.clean.findings import reasons_in, side_of
    from sparkmine.listing import quarantine_lines

    if options.config is not None:
        return _again(options)
    lake = _existing(options.warehouse or "warehouse/retail")
    side = side_of(lake.table(options.table))
    print("\n".join(quarantine_lines(side.name, reasons_in(side, options.run))))
    return 0


def _again(options: argparse.Namespace) -> int:
    from sparkmine.pipeline import Runner

    pipeline = _load(options)
    lake, _ = _open(pipeline.warehouse, pipeline.name, conf=pipeline.spark)
    sent = Runner(pipeline, lake, lambda event: None).again(options.table)
    print(
        f"{sent.table}: {sent.rows:,} rows sent again, {sent.released:,} kept, "
        f"{sent.kept:,} quarantined, {sent.removed:,} removed"
        + (f"; version {sent.version}" if sent.version is not None else "")
    )
    return 0


def _report(options: argparse.Namespace) -> int:
    from sparkmine.lake import ledger

    lake = _existing(options.warehouse)
    found = [
        row
        for row in ledger.read(lake)
        if row["kind"] == "report"
        and row["status"] in (ledger.SUCCEEDED, ledger.UP_TO_DATE)
        and options.run in (None, row["run_id"])
    ]
    if not found:
        which = f"run {options.run!r}" if options.run else "any run"
        raise ConfigError(f"there is no report of {which} in {options.warehouse}")
    print(f"{lake.root}/{json.loads(found[-1]['metrics'])['file']}")
    return 0


def _profile(options: argparse.Namespace) -> int:
    from sparkmine.evaluate.profile import profile

    if "://" not in options.warehouse and not Path(options.warehouse).is_dir():
        raise ConfigError(
            f"there is no warehouse {options.warehouse}; name another with --warehouse"
        )
    table = _open(options.warehouse, "profile")[0].table(options.table)
    snapshot = table.snapshot(options.version)
    found = profile(
        snapshot,
        against=None if options.against is None else table.snapshot(options.against),
        name=options.table,
        columns=options.columns.split(",") if options.columns else None,
        spark=table.lake.spark,
    )
    file = f"profile-{options.table.replace('/', '-')}-{snapshot.version}.html"
    print(found.to_html(options.output or file).absolute())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from sparkmine.doctor import check_all

    failed = 0
    for check in check_all(ranks=options.ranks):
        print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.text}", flush=True)
        failed += not check.ok
    return EXIT_ERROR if failed else 0


if __name__ == "__main__":
    sys.exit(main())
