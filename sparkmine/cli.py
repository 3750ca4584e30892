"""The command line: `sparkmine run | plan | runs | report | profile | doctor`.

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

    report = commands.add_parser("report", help="print where the report of a run is")
    report.add_argument("--warehouse", default="warehouse/retail", help="its folder or URI")
    report.add_argument("run", nargs="?", metavar="RUN", help="a run's id; the newest if left out")
    report.set_defaults(command=_report)

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
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter, or STAGE.KEY; may be repeated",
    )
    parser.add_argument("--date", help="the run's date, ISO; ${date} in the file")
    parser.add_argument("--warehouse", help="another warehouse than the file's")


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

    if options.rebuild:
        lake = _open(options.warehouse, "ledger")[0]
        print(f"{ledger.rebuild(lake)} lines")
    else:
        lake = _existing(options.warehouse)
    rows = ledger.read(lake)
    if options.run is not None:
        _print_stages([row for row in rows if row["run_id"] == options.run], options.run)
    else:
        _print_runs(rows)
    return 0


def _print_runs(rows: list[dict[str, Any]]) -> None:
    from sparkmine.lake import ledger

    by_run: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_run.setdefault(row["run_id"], []).append(row)
    lines = [("run", "pipeline", "date", "status", "stages run", "up to date", "seconds")]
    for run_id, found in by_run.items():
        whole = [row for row in found if not row["stage"]]
        status = whole[-1]["status"] if whole else "unknown"
        stages = [row["status"] for row in found if row["stage"]]
        seconds = whole[-1]["seconds"] if whole else None
        lines.append(
            (
                run_id,
                found[0]["pipeline"],
                found[0]["date"],
                # A run that started and said no more was killed, or is running now.
                "not finished" if status == ledger.STARTED else status,
                str(stages.count("succeeded")),
                str(stages.count("up to date")),
                "" if seconds is None else f"{seconds:.1f}",
            )
        )
    _columns(lines)


def _print_stages(rows: list[dict[str, Any]], run_id: str) -> None:
    if not rows:
        raise ConfigError(f"there is no run {run_id!r}; `sparkmine runs` lists them")
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
    _columns(lines)


def _columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )


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
