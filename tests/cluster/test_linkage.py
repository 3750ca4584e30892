"""Fuzzy records on a standalone cluster: Splink's jar and our tasks reach the executors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cluster

LINKED = Path(__file__).with_name("linked.py")


@pytest.mark.slow
def test_people_are_linked_by_two_executors(cluster: Cluster) -> None:
    ended = cluster.submit(LINKED, seconds=560)
    assert ended.code == 0, ended.output[-6000:]
    (said,) = [line for line in ended.output.splitlines() if line.startswith("RESULT ")]
    result = json.loads(said.removeprefix("RESULT "))
    assert result["rows"] == 300
    assert result["f1"] >= 0.95
