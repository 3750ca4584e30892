"""The scripts that spark-submit starts: one for each kind of stage, checked before Spark starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparkmine.stages import STAGES

JOBS = Path(__file__).parents[2] / "jobs"

Small = Callable[..., Path]


def submitted(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that must end before Spark starts."""
    return subprocess.run(
        [sys.executable, JOBS / script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "JAVA_HOME": "/no/java"},
        timeout=60,
    )


def test_every_kind_of_stage_has_its_script() -> None:
    kinds = set(STAGES)
    assert {file.stem for file in JOBS.glob("*.py")} == kinds | {"run", "doctor"}
    for kind in kinds:
        assert f'main("{kind}")' in (JOBS / f"{kind}.py").read_text()


@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("classical.py", [], "CONFIG_INVALID: --stage is needed: .*logistic.*tree"),
        ("clean.py", ["--stage", "tree"], "CONFIG_INVALID: .*use jobs/classical.py"),
        ("clean.py", ["--stage", "none"], "CONFIG_INVALID: .*none"),
        ("clean.py", [], "JAVA_MISSING: "),
    ],
)
def test_mistakes_end_with_a_coded_error(
    small: Small, script: str, arguments: list[str], says: str
) -> None:
    done = submitted(script, "--config", str(small()), *arguments)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.match(says, line)
