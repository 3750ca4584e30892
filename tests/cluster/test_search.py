"""Search on a standalone cluster: executors read the table themselves and fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cluster

SEARCHED = Path(__file__).with_name("searched.py")


@pytest.mark.slow
def test_candidates_are_fitted_by_two_executors(cluster: Cluster, tmp_path: Path) -> None:
    ended = cluster.submit(SEARCHED, str(tmp_path / "lake"))
    assert ended.code == 0, ended.output[-6000:]
    (said,) = [line for line in ended.output.splitlines() if line.startswith("RESULT ")]
    result = json.loads(said.removeprefix("RESULT "))
    assert result["difference"] < 1e-9
    assert (result["missing"], result["rows"]) == (0, 500)
    assert "for 2 tasks at once" in result["share"]  # two executors of one core on this machine
    assert not list((tmp_path / "lake").glob(".sparkmine-scratch-*"))
