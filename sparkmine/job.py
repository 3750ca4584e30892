"""What the scripts in `jobs/` do: run one stage, or a whole pipeline, under spark-submit.

Exit code 0 only on success; else a non-zero one and a coded error of one line.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sparkmine.cli import guarded, run_pipeline
from sparkmine.console import console
from sparkmine.errors import ConfigError
from sparkmine.pipeline import Pipeline, load_pipeline


def main(kind: str | None = None, arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline, or its stage of `kind`; the exit code.

    `--stage` names the stage; it may be left out when the pipeline has one of that kind.
    """
    parser = argparse.ArgumentParser(description=f"Run {kind or 'a pipeline'} under spark-submit.")
    parser.add_argument("--config", required=True, help="the pipeline's YAML file")
    if kind is not None:
        parser.add_argument("--stage", help=f"the name of a stage of kind {kind}")
    parser.add_argument("--date", help="the run's date, ISO")
    parser.add_argument("--warehouse", help="another warehouse than the file's")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--force", action="store_true", help="run even if nothing changed")
    parser.add_argument("--log-json", action="store_true", help="print JSON lines")
    options = parser.parse_args(arguments)

    def run() -> int:
        pipeline = load_pipeline(
            options.config,
            settings=options.settings,
            date=options.date,
            warehouse=options.warehouse,
        )
        only = None if kind is None else _stage_name(pipeline, kind, options.stage)
        run_pipeline(pipeline, console(options.log_json), only=only, force=options.force)
        return 0

    return guarded(run)


def _stage_name(pipeline: Pipeline, kind: str, name: str | None) -> str:
    of_kind = [stage.name for stage in pipeline.stages if stage.kind == kind]
    if name is not None:
        stage = pipeline.stage(name)
        if stage.kind != kind:
            raise ConfigError(f"stage {name} is of kind {stage.kind}: use jobs/{stage.kind}.py")
        return name
    if len(of_kind) != 1:
        raise ConfigError(
            f"--stage is needed: {pipeline.file} has {of_kind or 'none'} of kind {kind}"
        )
    return of_kind[0]
